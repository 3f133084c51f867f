#include <nlohmann/json.hpp>

#include "mcp/server.h"

namespace lm::mcp {

Call::Call(std::shared_ptr<Session> session, std::shared_ptr<Sink> sink, std::string method,
           const Json& id, const Json& params, bool modern)
    : session_(std::move(session)),
      sink_(std::move(sink)),
      method_(std::move(method)),
      params_(params.dump(-1, ' ', false, Json::error_handler_t::replace)),
      id_(id.dump()),
      claims_(sink_->claims()),
      modern_(modern) {
  const Json meta = meta_of(params);
  if (meta.contains("progressToken") && is_id(meta["progressToken"]))
    progress_token_ = meta["progressToken"].dump();
  if (modern) {
    log_level_ = text_at(meta, std::string(kMeta) + "logLevel");
    capabilities_ = meta[std::string(kMeta) + "clientCapabilities"].dump();
    version_ = kModernVersion;
  }
}

Call::~Call() {
  fail({kInternalError, "the call was not answered", ""});
}

std::string Call::client_capabilities() const {
  if (modern_) return capabilities_;
  const std::lock_guard lock(session_->mutex_);
  return session_->client_capabilities_;
}
std::string Call::protocol_version() const {
  return modern_ ? version_ : session_->version();
}

std::string Call::principal() const {
  return session_->principal_;
}

void Call::respond(const std::string& text) {
  if (answered_.exchange(true)) return;
  session_->forget(id_, this);
  if (cancelled_) return;
  Json result = Json::parse(text, nullptr, false);
  if (!result.is_object()) result = Json::object();
  if (modern_) result = completed(std::move(result), session_->server_->options());
  sink_->send(result_text(Json::parse(id_, nullptr, false), result));
}

void Call::fail(const RpcError& error) {
  if (answered_.exchange(true)) return;
  session_->forget(id_, this);
  if (cancelled_) return;
  sink_->send(error_text(Json::parse(id_, nullptr, false), error));
}

void Call::progress(double progress, double total, const std::string& message) {
  if (progress_token_.empty() || answered_ || cancelled_) return;
  Json params = {{"progressToken", Json::parse(progress_token_, nullptr, false)},
                 {"progress", progress}};
  if (total > 0) params["total"] = total;
  const std::string v = protocol_version();
  if (!message.empty() && v != "2024-11-05") params["message"] = message;
  sink_->send(notification_text("notifications/progress", params));
}

void Call::log(const std::string& level, const std::string& logger, const std::string& data) {
  static constexpr std::string_view kLevels[] = {"debug", "info",     "notice", "warning",
                                                 "error", "critical", "alert",  "emergency"};
  const auto rank = [&](std::string_view name) {
    return std::find(std::begin(kLevels), std::end(kLevels), name) - std::begin(kLevels);
  };
  std::string from = log_level_;
  if (!modern_) {
    const std::lock_guard lock(session_->mutex_);
    from = session_->log_level_.empty() ? "info" : session_->log_level_;
  }
  if (from.empty() || rank(level) < rank(from) || answered_) return;
  Json params = {{"level", level}, {"data", Json::parse(data, nullptr, false)}};
  if (params["data"].is_discarded()) params["data"] = data;
  if (!logger.empty()) params["logger"] = logger;
  sink_->send(notification_text("notifications/message", params));
}

std::future<std::string> Call::ask(const std::string& method, const std::string& params) {
  std::promise<std::string> promise;
  auto future = promise.get_future();
  int64_t id = 0;
  {
    const std::lock_guard lock(session_->mutex_);
    if (session_->closed_) {
      promise.set_exception(
          std::make_exception_ptr(RpcError{kInternalError, "the client left", ""}));
      return future;
    }
    id = session_->next_id_++;
    session_->asked_.emplace(id, std::move(promise));
  }
  sink_->send(request_text(id, method, Json::parse(params, nullptr, false)));
  return future;
}

}  // namespace lm::mcp
