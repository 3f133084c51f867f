// The bytes of a connection, in the clear or by TLS, behind one interface. Used on the server's
// thread only. Internal to engine/serve/http: brings Asio's headers.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <functional>
#include <memory>
#include <string_view>

namespace lm::http {

using Socket = boost::asio::ip::tcp::socket;
using Done = std::function<void(boost::system::error_code, size_t)>;

class Transport {
 public:
  virtual ~Transport() = default;
  virtual void handshake(Done done) = 0;  // done's size is 0
  virtual void read_some(char* data, size_t size, Done done) = 0;
  virtual void write_some(std::string_view data, Done done) = 0;
  // Says that nothing more will be sent; done when that is on its way.
  virtual void finish_sending(Done done) = 0;
  virtual Socket& socket() = 0;
  virtual bool is_tls() const = 0;
};

std::unique_ptr<Transport> plain_transport(Socket socket);
std::unique_ptr<Transport> tls_transport(Socket socket, boost::asio::ssl::context& context);

// Throws not_found, bad_file for what OpenSSL refuses.
std::unique_ptr<boost::asio::ssl::context> tls_context(const std::string& cert,
                                                       const std::string& key);

}  // namespace lm::http
