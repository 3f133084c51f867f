// Where messages go over HTTP: one JSON body, or a stream of server-sent events.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "engine/api/http_server.h"
#include "mcp/server.h"

namespace lm::mcp {

// The answer to one POST. A response that comes first is the body; anything else begins a stream,
// which the response ends.
class AnswerSink : public Sink {
 public:
  AnswerSink(std::shared_ptr<HttpExchange> exchange, HttpHeaders headers, bool modern)
      : exchange_(std::move(exchange)), headers_(std::move(headers)), modern_(modern) {}
  void send(std::string message) override;

 private:
  std::mutex mutex_;
  std::shared_ptr<HttpExchange> exchange_;  // null once it is answered
  const HttpHeaders headers_;
  const bool modern_;
  bool streaming_ = false;
};

// A stream that stays open: messages wait while no reader is there, up to a limit.
class StreamSink : public Sink {
 public:
  void send(std::string message) override;
  // A reader comes; the one before is sent away.
  void attach(std::shared_ptr<HttpExchange> exchange, const std::string& first);
  // The reader is sent away.
  void close();

 private:
  std::mutex mutex_;
  std::shared_ptr<HttpExchange> exchange_;
  std::deque<std::string> waiting_;
};

// The status that an answer of the newest revision has.
int status_of(const std::string& response);
std::string event(std::string_view data, std::string_view name = "message");
HttpHeaders stream_headers(const HttpHeaders& more = {});
void answer_error(HttpExchange& exchange, int status, const Json& id, const RpcError& error);

}  // namespace lm::mcp
