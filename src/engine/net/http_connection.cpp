#include "engine/net/http_connection.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <exception>

#include "engine/core/error.h"
#include "engine/core/socket_guard.h"

namespace lm {
namespace {

constexpr size_t kMaxHeaderBytes = 256 << 10;

std::string address(const HttpOrigin& origin) {
  const bool is_ipv6 = origin.host.find(':') != std::string::npos;
  const std::string host =
      origin.scheme + "://" + (is_ipv6 ? "[" + origin.host + "]" : origin.host);
  const bool is_default = origin.port == (origin.scheme == "https" ? 443 : 80);
  return is_default ? host : fmt::format("{}:{}", host, origin.port);
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::string_view(" \t\r\n").find(text.front()) != text.npos)
    text.remove_prefix(1);
  while (!text.empty() && std::string_view(" \t\r\n").find(text.back()) != text.npos)
    text.remove_suffix(1);
  return text;
}

// Other certificates than the system's, by the variables that OpenSSL and curl know.
const char* certificate_file() {
  for (const char* name : {"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"})
    if (const char* path = std::getenv(name); path && *path) return path;
  return nullptr;
}

// One answer as it comes in; the static members are what curl calls.
class Receiver {
 public:
  Receiver(const HttpSink& sink, SocketGuard& guard) : sink_(sink), guard_(guard) {}

  static size_t on_header(char* data, size_t size, size_t n, void* self) {
    return static_cast<Receiver*>(self)->header({data, size * n}) ? size * n : 0;
  }
  static size_t on_body(char* data, size_t size, size_t n, void* self) {
    auto& r = *static_cast<Receiver*>(self);
    return r.guarded([&] {
      return !r.sink_.on_data || r.sink_.on_data({data, size * n});
    })
               ? size * n
               : 0;
  }
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Receiver*>(self)->guard_.stopped() ? 1 : 0;
  }

  std::exception_ptr thrown;  // by the sink; exceptions do not pass through curl
  bool ended = false;         // by the sink

 private:
  bool header(std::string_view line) {
    bytes_ += line.size();
    if (bytes_ > kMaxHeaderBytes) return false;
    if (is_complete_) return true;  // trailers
    if (line.starts_with("HTTP/")) {
      reply_ = {};
      const size_t space = std::min(line.find(' '), line.size() - 1);
      std::from_chars(line.data() + space + 1, line.data() + line.size(), reply_.status);
      return true;
    }
    if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
      std::string name(trim(line.substr(0, colon)));
      for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
      reply_.headers.emplace_back(std::move(name), trim(line.substr(colon + 1)));
    }
    if (!trim(line).empty() || reply_.status < 200) return true;
    is_complete_ = true;
    return guarded([&] { return !sink_.on_headers || sink_.on_headers(reply_); });
  }

  template <typename Call>
  bool guarded(Call&& call) {
    try {
      ended = !call();
    } catch (const std::exception&) {
      thrown = std::current_exception();
      ended = true;
    }
    return !ended;
  }

  const HttpSink& sink_;
  SocketGuard& guard_;
  HttpReply reply_;
  size_t bytes_ = 0;
  bool is_complete_ = false;
};

class Connection : public HttpConnection {
 public:
  Connection(const HttpOrigin& origin, const HttpOptions& options, SocketGuard& guard)
      : address_(address(origin)),
        options_(options),
        guard_(guard),
        curl_(curl_easy_init(), curl_easy_cleanup) {
    LM_CHECK(curl_ != nullptr, ErrorCode::out_of_memory, "{}: no client could be made", address_);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    // Parts are fetched over connections of their own; one of HTTP/2 would share a window.
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_PATH_AS_IS, 1L);
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout_s * 1000));
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, std::max(1L, static_cast<long>(options.read_timeout_s)));
    set(CURLOPT_BUFFERSIZE, 256L << 10);
    if (const char* file = certificate_file()) set(CURLOPT_CAINFO, file);
    set(CURLOPT_HEADERFUNCTION, &Receiver::on_header);
    set(CURLOPT_WRITEFUNCTION, &Receiver::on_body);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &Receiver::on_progress);
    set(CURLOPT_SOCKOPTFUNCTION, &Connection::on_socket);
    set(CURLOPT_SOCKOPTDATA, this);
    set(CURLOPT_ERRORBUFFER, reason_);
    if (options.address.empty()) return;
    const bool is_ipv6 = options.address.find(':') != std::string::npos;
    const std::string to = is_ipv6 ? "::[" + options.address + "]:" : "::" + options.address + ":";
    connect_to_.reset(curl_slist_append(nullptr, to.c_str()));
    set(CURLOPT_CONNECT_TO, connect_to_.get());
  }

  bool send(const HttpRequest& request, const HttpSink& sink) override {
    check_stopped();
    Receiver receiver(sink, guard_);
    std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(nullptr,
                                                                        curl_slist_free_all);
    for (const auto& [name, value] : request.headers)
      headers.reset(curl_slist_append(headers.release(),
                                      (value.empty() ? name + ";" : name + ": " + value).c_str()));
    set(CURLOPT_URL, (address_ + request.target).c_str());
    set(CURLOPT_NOBODY, request.method == "HEAD" ? 1L : 0L);
    if (request.method != "HEAD") set(CURLOPT_HTTPGET, 1L);
    const bool has_body = request.method != "GET" && request.method != "HEAD";
    if (has_body) {
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      set(CURLOPT_POSTFIELDS, request.body.c_str());  // makes it a POST
      // Not first asking whether the body may come: that waits for a second.
      headers.reset(curl_slist_append(headers.release(), "Expect:"));
    }
    set(CURLOPT_CUSTOMREQUEST, has_body ? request.method.c_str() : nullptr);
    set(CURLOPT_HTTPHEADER, headers.get());
    set(CURLOPT_HEADERDATA, &receiver);
    set(CURLOPT_WRITEDATA, &receiver);
    set(CURLOPT_XFERINFODATA, &receiver);
    reason_[0] = '\0';
    const CURLcode code = curl_easy_perform(curl_.get());
    if (receiver.thrown) std::rethrow_exception(receiver.thrown);
    check_stopped();
    if (receiver.ended) return false;
    if (code != CURLE_OK) fail(code);
    return true;
  }

 private:
  static int on_socket(void* self, curl_socket_t fd, curlsocktype) {
    auto& c = *static_cast<Connection*>(self);
    c.socket_ = c.guard_.watch(fd);
    return CURL_SOCKOPT_OK;
  }

  template <typename T>
  void set(CURLoption option, T value) {
    const CURLcode code = curl_easy_setopt(curl_.get(), option, value);
    LM_CHECK(code == CURLE_OK, ErrorCode::internal, "curl option {}: {}", static_cast<int>(option),
             curl_easy_strerror(code));
  }

  void check_stopped() const {
    if (guard_.stopped()) throw Error(ErrorCode::interrupted, "interrupted");
  }

  [[noreturn]] void fail(CURLcode code) const {
    const std::string reason = reason_[0] ? reason_ : curl_easy_strerror(code);
    switch (code) {
      case CURLE_PEER_FAILED_VERIFICATION:
        throw Error(ErrorCode::denied,
                    fmt::format("the certificate of {} is not trusted: {}", address_, reason),
                    "SSL_CERT_FILE=FILE names the certificates to trust, e.g. of your proxy");
      case CURLE_SSL_CACERT_BADFILE:
        throw Error(ErrorCode::io, fmt::format("the certificates to trust: {}", reason),
                    "install the package ca-certificates, or correct SSL_CERT_FILE");
      case CURLE_OPERATION_TIMEDOUT:
        raise(ErrorCode::timeout, "{}: {}", address_, reason);
      default:
        raise(ErrorCode::network, "{}: {}", address_, reason);
    }
  }

  const std::string address_;
  const HttpOptions options_;
  SocketGuard& guard_;
  std::shared_ptr<WatchedSocket> socket_;
  char reason_[CURL_ERROR_SIZE] = {};
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> connect_to_{nullptr,
                                                                          curl_slist_free_all};
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl_;
};

}  // namespace

std::unique_ptr<HttpConnection> connect_http(const HttpOrigin& origin, const HttpOptions& options,
                                             SocketGuard& guard) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  LM_CHECK(started == CURLE_OK, ErrorCode::internal, "curl: {}", curl_easy_strerror(started));
  return std::make_unique<Connection>(origin, options, guard);
}

}  // namespace lm
