#include "engine/serve/http/transport.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <filesystem>

#include "engine/core/error.h"

namespace lm::http {
namespace {

namespace asio = boost::asio;

class Plain : public Transport {
 public:
  explicit Plain(Socket socket) : socket_(std::move(socket)) {}
  void handshake(Done done) override {
    asio::post(socket_.get_executor(), [done = std::move(done)] { done({}, 0); });
  }
  void read_some(char* data, size_t size, Done done) override {
    socket_.async_read_some(asio::buffer(data, size), std::move(done));
  }
  void write_some(std::string_view data, Done done) override {
    socket_.async_write_some(asio::buffer(data.data(), data.size()), std::move(done));
  }
  void finish_sending(Done done) override {
    boost::system::error_code error;
    socket_.shutdown(Socket::shutdown_send, error);
    done(error, 0);
  }
  Socket& socket() override { return socket_; }
  bool is_tls() const override { return false; }

 private:
  Socket socket_;
};

class Tls : public Transport {
 public:
  Tls(Socket socket, asio::ssl::context& context) : stream_(std::move(socket), context) {}
  void handshake(Done done) override {
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [done = std::move(done)](auto error) { done(error, 0); });
  }
  void read_some(char* data, size_t size, Done done) override {
    stream_.async_read_some(asio::buffer(data, size), std::move(done));
  }
  void write_some(std::string_view data, Done done) override {
    stream_.async_write_some(asio::buffer(data.data(), data.size()), std::move(done));
  }
  void finish_sending(Done done) override {
    stream_.async_shutdown([done = std::move(done)](auto error) { done(error, 0); });
  }
  Socket& socket() override { return stream_.next_layer(); }
  bool is_tls() const override { return true; }

 private:
  asio::ssl::stream<Socket> stream_;
};

}  // namespace

std::unique_ptr<Transport> plain_transport(Socket socket) {
  return std::make_unique<Plain>(std::move(socket));
}

std::unique_ptr<Transport> tls_transport(Socket socket, asio::ssl::context& context) {
  return std::make_unique<Tls>(std::move(socket), context);
}

std::unique_ptr<asio::ssl::context> tls_context(const std::string& cert, const std::string& key) {
  for (const std::string& file : {cert, key})
    LM_CHECK(std::filesystem::exists(file), ErrorCode::not_found,
             "\"{}\" does not exist; expected a certificate and its key, in PEM", file);
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  boost::system::error_code error;
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  context->use_certificate_chain_file(cert, error);
  LM_CHECK(!error, ErrorCode::bad_file, "cert \"{}\": {}", cert, error.message());
  context->use_private_key_file(key, asio::ssl::context::pem, error);
  LM_CHECK(!error, ErrorCode::bad_file, "key \"{}\": {}", key, error.message());
  LM_CHECK(SSL_CTX_check_private_key(context->native_handle()) == 1, ErrorCode::bad_file,
           "key \"{}\" does not belong to the certificate \"{}\"", key, cert);
  return context;
}

}  // namespace lm::http
