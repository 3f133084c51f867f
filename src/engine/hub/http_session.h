// Requests of one thread over any number of hosts: kept connections, redirects, the token.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "engine/api/net.h"
#include "engine/core/error.h"
#include "engine/hub/url.h"

namespace lm {

class SocketGuard;

struct SessionOptions {
  std::string token;         // sent to `token_origin` only
  std::string token_origin;  // as Url::origin_text() writes it
  double read_timeout_s = 30;
};

// A failure that trying again may cure; `after_s` is what the server asked to wait, or -1.
class RetryError : public Error {
 public:
  RetryError(ErrorCode code, std::string message, double after_s)
      : Error(code, std::move(message)), after_s_(after_s) {}
  double after_s() const { return after_s_; }

 private:
  double after_s_;
};
// Whether trying again may cure it: RetryError, broken connections and time-outs.
bool is_transient(const Error& error);

class HttpSession {
 public:
  HttpSession(SessionOptions options, SocketGuard& guard)
      : options_(std::move(options)), guard_(guard) {}

  // What sees the replies. `on_hop` also gets the redirecting ones.
  struct Handlers {
    std::function<void(const HttpReply& reply, const Url& url)> on_hop;
    std::function<void(const HttpReply& reply)> on_headers;  // of the reply that is no redirect
    std::function<void(std::string_view)> on_data;           // its body
  };
  struct Final {
    HttpReply reply;
    Url url;  // where the redirects ended
  };
  // Follows up to 10 redirects when `follow`; never from https to http. Throws what
  // HttpConnection::send throws; network for redirect loops.
  Final send(const std::string& method, Url url, const HttpHeaders& headers,
             const Handlers& handlers, bool follow = true);
  // A whole small body. Throws bad_file when it is larger.
  Final get_text(const Url& url, size_t max_bytes, std::string* body);

 private:
  HttpConnection& connection(const Url& url);

  SessionOptions options_;
  SocketGuard& guard_;
  std::map<std::string, std::unique_ptr<HttpConnection>> connections_;
};

// Calls `attempt` again after transient failures, `retries` times at most, with growing pauses.
// `has_progressed` tells whether the last attempt got ahead, which starts the count anew.
void with_retries(int retries, SocketGuard& guard, const std::function<void()>& attempt,
                  const std::function<bool()>& has_progressed = {});

}  // namespace lm
