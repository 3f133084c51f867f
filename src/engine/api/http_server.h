// An HTTP/1.1 server: what the model server and MCP answer through. It lives in liblmfast_serve.so;
// serve_api() of api/serve.h makes one. It knows nothing of models.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/api/net.h"

namespace lm {

struct HttpServerOptions {
  std::string host = "127.0.0.1";  // an address, or a name that stands for one
  int port = 0;                    // 0: a free one
  std::string cert, key;           // files in PEM: TLS; both or none
  size_t max_connections = 1024;   // more are answered 503 and closed
  size_t max_header_bytes = 64 << 10;
  size_t max_body_bytes = 32 << 20;
  double header_timeout_s = 10;         // from connection or first byte to the end of the headers
  double request_timeout_s = 60;        // to the end of the body, however slowly bytes come in
  double idle_timeout_s = 75;           // between requests of a connection
  double write_timeout_s = 60;          // while a reader takes nothing
  size_t workers = 32;                  // requests answered at once
  size_t queue = 256;                   // requests that wait for a worker; more are answered 429
  size_t max_unsent_bytes = 256 << 10;  // of a stream, before write() waits for the reader
  // Names that the Host header may have, against DNS rebinding; "*": any. Always allowed:
  // addresses, localhost, and `host`.
  std::vector<std::string> allowed_hosts;
  // Web pages that may ask: values of Origin; "*": all. Always allowed: the server's own pages.
  std::vector<std::string> allowed_origins;
};

struct HttpServerRequest {
  std::string method;
  std::string path;     // percent-decoded, valid UTF-8, begins with "/"
  std::string query;    // as it came
  HttpHeaders headers;  // names in lower case
  std::string body;
  std::string peer;  // address of the other side
  // The value of the first header of that name (lower case), or "".
  std::string_view header(std::string_view name) const;
  // The first value of that name in the query, percent-decoded, or "".
  std::string query_value(std::string_view name) const;
};

struct HttpAnswer {
  int status = 200;
  HttpHeaders headers;  // content-type and what else is to say; lengths and dates are the server's
  std::string body;
};

// One request and its answer: either answer(), or begin(), write() ... end(). Used by one thread at
// a time. An exchange that is dropped without an answer answers 500; a stream that is dropped
// without end() is broken off.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  virtual const HttpServerRequest& request() const = 0;
  // The other side has gone, or the server ends. For CancelScope.
  virtual const std::atomic<bool>& cancelled() const = 0;
  // Called once, on the server's thread, when that happens; at once where it has.
  virtual void on_cancel(std::function<void()> call) = 0;

  virtual void answer(HttpAnswer answer) = 0;
  virtual void begin(int status, HttpHeaders headers) = 0;
  // Hands bytes over. Waits while the reader has not taken those before (the calling thread only).
  // False: the stream is cancelled.
  virtual bool write(std::string_view bytes) = 0;
  virtual void end() = 0;
  // Status of the answer, 0 before.
  virtual int status() const = 0;
};

struct HttpHandlers {
  // Answers a request; runs on a worker. What it throws becomes an answer of 500. It may keep the
  // exchange and answer later.
  std::function<void(std::shared_ptr<HttpExchange>)> handle;
  // Requests that `handle` answers at once, on the server's own thread, so that they are answered
  // however busy the workers are (health checks). May be empty.
  std::function<bool(const HttpServerRequest&)> is_quick;
  // The answer to what never comes to `handle`: 400, 403, 408, 413, 421, 429, 431, 501, 503. The
  // request may be incomplete. May be empty.
  std::function<HttpAnswer(const HttpServerRequest&, int status, const std::string& message)>
      refuse;
};

struct HttpServerStats {
  int64_t connections = 0, running = 0, waiting = 0;  // now: waiting for a worker
  int64_t accepted = 0, requests = 0, refused = 0, cancelled = 0;
};

// Thread-safe.
class HttpServer {
 public:
  // stop(0)
  virtual ~HttpServer() = default;
  virtual int port() const = 0;
  virtual HttpServerStats stats() const = 0;
  // Takes no more connections and requests, waits for those that run, and cancels them after
  // drain_s seconds. Returns when nothing runs any more.
  virtual void stop(double drain_s) = 0;
  virtual bool draining() const = 0;
};

}  // namespace lm
