#include "mcp/client.h"

#include <nlohmann/json.hpp>

namespace lm::mcp {

void Client::set_handler(Handler handler) {
  const std::lock_guard lock(mutex_);
  handler_ = std::move(handler);
}

std::future<std::string> Client::request(const std::string& method, const std::string& params,
                                         int64_t* id) {
  std::promise<std::string> promise;
  auto future = promise.get_future();
  {
    const std::lock_guard lock(mutex_);
    *id = next_id_++;
    if (!over_.empty()) {
      promise.set_exception(std::make_exception_ptr(RpcError{kInternalError, over_, ""}));
      return future;
    }
    waiting_.emplace(*id, std::move(promise));
  }
  send(request_text(*id, method, Json::parse(params, nullptr, false)));
  return future;
}

void Client::notify(const std::string& method, const std::string& params) {
  send(notification_text(method, Json::parse(params, nullptr, false)));
}

void Client::cancel(int64_t id) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.erase(id) == 0) return;
  }
  send(notification_text("notifications/cancelled", {{"requestId", id}}));
}

void Client::answer(const std::string& id, const std::string& result) {
  send(result_text(Json::parse(id, nullptr, false), Json::parse(result, nullptr, false)));
}

void Client::answer_error(const std::string& id, const RpcError& error) {
  send(error_text(Json::parse(id, nullptr, false), error));
}

void Client::received(std::string_view text) {
  Json message;
  try {
    message = parse_message(text);
  } catch (const RpcError&) {
    return;  // what is no message is for nobody
  }
  if (!message.is_object()) return;
  if (message.contains("method") && message["method"].is_string()) {
    Handler handler;
    {
      const std::lock_guard lock(mutex_);
      handler = handler_;
    }
    if (handler)
      handler(message["method"], message.value("params", Json::object()).dump(),
              message.contains("id") ? message["id"].dump() : "");
    return;
  }
  if (!message.contains("id") || !message["id"].is_number_integer()) return;
  std::promise<std::string> promise;
  {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(message["id"].get<int64_t>());
    if (found == waiting_.end()) return;
    promise = std::move(found->second);
    waiting_.erase(found);
  }
  if (message.contains("result")) {
    promise.set_value(message["result"].dump(-1, ' ', false, Json::error_handler_t::replace));
    return;
  }
  RpcError error{kInternalError, "an error without a message", ""};
  if (message.contains("error") && message["error"].is_object()) {
    const Json& e = message["error"];
    if (e.contains("code") && e["code"].is_number_integer()) error.code = e["code"];
    if (e.contains("message") && e["message"].is_string()) error.message = e["message"];
    if (e.contains("data")) error.data = e["data"].dump();
  }
  promise.set_exception(std::make_exception_ptr(error));
}

void Client::ended(const std::string& why) {
  std::map<int64_t, std::promise<std::string>> waiting;
  Handler handler;
  {
    const std::lock_guard lock(mutex_);
    if (!over_.empty()) return;
    over_ = why;
    waiting.swap(waiting_);
    handler = handler_;
  }
  for (auto& [id, promise] : waiting)
    promise.set_exception(std::make_exception_ptr(RpcError{kInternalError, why, ""}));
  if (handler) handler("closed", "{}", "");
}

}  // namespace lm::mcp
