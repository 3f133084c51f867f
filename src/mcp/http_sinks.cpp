#include "mcp/http_sinks.h"

#include <nlohmann/json.hpp>

namespace lm::mcp {
namespace {

constexpr size_t kMostWaiting = 1000;

HttpHeaders json_headers(const HttpHeaders& more) {
  HttpHeaders headers{{"content-type", "application/json"}};
  headers.insert(headers.end(), more.begin(), more.end());
  return headers;
}

}  // namespace

std::string event(std::string_view data, std::string_view name) {
  return "event: " + std::string(name) + "\ndata: " + std::string(data) + "\n\n";
}

HttpHeaders stream_headers(const HttpHeaders& more) {
  HttpHeaders headers{{"content-type", "text/event-stream"},
                      {"cache-control", "no-cache"},
                      {"x-accel-buffering", "no"}};
  headers.insert(headers.end(), more.begin(), more.end());
  return headers;
}

int status_of(const std::string& response) {
  const Json message = Json::parse(response, nullptr, false);
  if (!message.is_object() || !message.contains("error")) return 200;
  switch (message["error"].value("code", 0)) {
    case kMethodNotFound:
      return 404;
    case kParseError:
    case kInvalidRequest:
    case kHeaderMismatch:
    case kMissingCapability:
    case kUnsupportedVersion:
      return 400;
    default:
      return 200;
  }
}

void answer_error(HttpExchange& exchange, int status, const Json& id, const RpcError& error) {
  exchange.answer({status, json_headers({}), error_text(id, error)});
}

void AnswerSink::send(std::string message) {
  const std::lock_guard lock(mutex_);
  if (!exchange_) return;
  const Json parsed = Json::parse(message, nullptr, false);
  // Only answers have no method; a list holds answers.
  const bool last = !parsed.is_object() || !parsed.contains("method");
  if (last && !streaming_) {
    exchange_->answer(
        {modern_ ? status_of(message) : 200, json_headers(headers_), std::move(message)});
    exchange_.reset();
    return;
  }
  if (!std::exchange(streaming_, true)) exchange_->begin(200, stream_headers(headers_));
  const bool alive = exchange_->write(event(message));
  if (last && alive) exchange_->end();
  if (last || !alive) exchange_.reset();
}

void StreamSink::send(std::string message) {
  const std::lock_guard lock(mutex_);
  if (exchange_ && exchange_->write(event(message))) return;
  exchange_.reset();
  waiting_.push_back(std::move(message));
  if (waiting_.size() > kMostWaiting) waiting_.pop_front();
}

void StreamSink::attach(std::shared_ptr<HttpExchange> exchange, const std::string& first) {
  const std::lock_guard lock(mutex_);
  if (exchange_) exchange_->end();
  exchange_ = std::move(exchange);
  exchange_->begin(200, stream_headers());
  exchange_->write(first);
  for (; !waiting_.empty(); waiting_.pop_front())
    if (!exchange_->write(event(waiting_.front()))) break;
}

void StreamSink::close() {
  const std::lock_guard lock(mutex_);
  if (exchange_) exchange_->end();
  exchange_.reset();
}

}  // namespace lm::mcp
