#include "engine/net/http_connection.h"

#include <httplib.h>

#include <algorithm>
#include <chrono>
#include <exception>

#include "engine/core/error.h"
#include "engine/core/socket_guard.h"

namespace lm {
namespace {

std::string address(const HttpOrigin& origin) {
  const bool is_ipv6 = origin.host.find(':') != std::string::npos;
  return fmt::format("{}://{}:{}", origin.scheme, is_ipv6 ? "[" + origin.host + "]" : origin.host,
                     origin.port);
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

HttpReply reply_of(const httplib::Response& response) {
  HttpReply reply;
  reply.status = response.status;
  for (const auto& [name, value] : response.headers) reply.headers.emplace_back(lower(name), value);
  return reply;
}

class Connection : public HttpConnection {
 public:
  Connection(const HttpOrigin& origin, const HttpOptions& options, SocketGuard& guard)
      : address_(address(origin)), options_(options), guard_(guard), client_(address_) {
    LM_CHECK(client_.is_valid(), ErrorCode::network, "{}: no client could be made", address_);
    client_.set_keep_alive(true);
    client_.set_follow_location(false);
    client_.set_url_encode(false);  // targets are encoded; signed ones must stay as they are
    client_.set_decompress(false);
    client_.set_tcp_nodelay(true);
    client_.enable_server_certificate_verification(true);
    client_.set_connection_timeout(std::chrono::duration<double>(options.connect_timeout_s));
    client_.set_read_timeout(std::chrono::duration<double>(options.read_timeout_s));
    client_.set_write_timeout(std::chrono::duration<double>(options.read_timeout_s));
    client_.set_socket_options([this](socket_t fd) { socket_ = guard_.watch(fd); });
    if (options.proxy_host.empty()) return;
    client_.set_proxy(options.proxy_host, options.proxy_port);
    if (!options.proxy_user.empty())
      client_.set_proxy_basic_auth(options.proxy_user, options.proxy_password);
  }

  bool send(const HttpRequest& request, const HttpSink& sink) override {
    check_stopped();
    std::exception_ptr thrown;  // exceptions do not pass through the client
    bool ended = false;
    last_byte_ = std::chrono::steady_clock::now();
    const auto guarded = [&](auto&& call) {
      last_byte_ = std::chrono::steady_clock::now();
      try {
        ended = !call();
      } catch (const std::exception&) {
        thrown = std::current_exception();
        ended = true;
      }
      return !ended;
    };
    httplib::Request r;
    r.method = request.method;
    r.path = request.target;
    for (const auto& [name, value] : request.headers) r.set_header(name, value);
    r.response_handler = [&](const httplib::Response& response) {
      return guarded([&] { return !sink.on_headers || sink.on_headers(reply_of(response)); });
    };
    r.content_receiver = [&](const char* data, size_t size, uint64_t, uint64_t) {
      if (socket_) socket_->delivered += size;
      return guarded([&] { return !sink.on_data || sink.on_data({data, size}); });
    };
    httplib::Response response;
    httplib::Error error = httplib::Error::Success;
    const bool whole = client_.send(r, response, error);
    if (thrown) std::rethrow_exception(thrown);
    check_stopped();
    if (ended) return false;
    if (!whole) fail(error);
    return true;
  }

 private:
  void check_stopped() const {
    if (guard_.stopped()) throw Error(ErrorCode::interrupted, "interrupted");
  }

  [[noreturn]] void fail(httplib::Error error) const {
    const std::chrono::duration<double> silent = std::chrono::steady_clock::now() - last_byte_;
    switch (error) {
      case httplib::Error::Connection:
        raise(ErrorCode::network, "cannot connect to {}", address_);
      case httplib::Error::ConnectionTimeout:
        raise(ErrorCode::timeout, "cannot connect to {} within {} s", address_,
              options_.connect_timeout_s);
      case httplib::Error::SSLServerVerification:
        throw Error(ErrorCode::denied,
                    fmt::format("the certificate of {} is not trusted", address_),
                    "SSL_CERT_FILE=FILE names the certificates to trust, e.g. of your proxy");
      case httplib::Error::SSLLoadingCerts:
        throw Error(ErrorCode::io, "the certificates of the system cannot be read",
                    "install the package ca-certificates, or set SSL_CERT_FILE");
      default:
        LM_CHECK(silent.count() < options_.read_timeout_s * 0.95, ErrorCode::timeout,
                 "{} sent nothing for {} s", address_, options_.read_timeout_s);
        raise(ErrorCode::network, "the connection to {} broke off ({})", address_,
              httplib::to_string(error));
    }
  }

  const std::string address_;
  const HttpOptions options_;
  SocketGuard& guard_;
  std::shared_ptr<WatchedSocket> socket_;
  std::chrono::steady_clock::time_point last_byte_;
  httplib::Client client_;
};

}  // namespace

std::unique_ptr<HttpConnection> connect_http(const HttpOrigin& origin, const HttpOptions& options,
                                             SocketGuard& guard) {
  return std::make_unique<Connection>(origin, options, guard);
}

}  // namespace lm
