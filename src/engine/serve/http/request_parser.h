// Bytes of a connection to HTTP/1.1 requests (RFC 9112), by Boost.Beast's parser.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/api/http_server.h"

namespace lm::http {

struct RequestLimits {
  size_t header_bytes, body_bytes;
};

class RequestParser {
 public:
  explicit RequestParser(RequestLimits limits);
  ~RequestParser();

  // Takes bytes and returns how many of them belong to the request; the rest is to be fed again
  // together with what follows.
  size_t feed(std::string_view bytes);

  bool started() const;      // bytes were taken
  bool header_done() const;  // method, path and headers are known
  bool done() const;         // so is the body
  bool failed() const { return status_ != 0; }
  // After a failure: the answer it deserves, and why.
  int status() const { return status_; }
  const std::string& reason() const { return reason_; }
  // The other side waits for "100 Continue" before it sends the body. True once.
  bool take_expectation();
  // Whether the connection may go on after the answer; whether it understands chunks.
  bool keep_alive() const;
  bool is_http_1_1() const;

  // What is known of the request; complete when done().
  HttpServerRequest& request() { return request_; }

 private:
  struct Impl;
  void read_header();
  void fail(int status, std::string reason);

  std::unique_ptr<Impl> impl_;
  HttpServerRequest request_;
  int status_ = 0;
  std::string reason_;
  bool expects_ = false;
};

}  // namespace lm::http
