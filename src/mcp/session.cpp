#include <algorithm>
#include <nlohmann/json.hpp>

#include "mcp/server.h"

namespace lm::mcp {
namespace {

// Answers of a batch go out together.
class BatchSink : public Sink {
 public:
  BatchSink(std::shared_ptr<Sink> out, size_t n) : out_(std::move(out)), left_(n) {}
  void send(std::string message) override {
    const Json parsed = Json::parse(message, nullptr, false);
    if (parsed.contains("method")) {  // notifications and requests do not wait
      out_->send(std::move(message));
      return;
    }
    const std::lock_guard lock(mutex_);
    answers_.push_back(parsed);
    if (--left_ == 0) out_->send(answers_.dump());
  }
  std::string claims() const override { return out_->claims(); }

 private:
  std::shared_ptr<Sink> out_;
  std::mutex mutex_;
  size_t left_;
  Json answers_ = Json::array();
};

}  // namespace

Session::Session(std::shared_ptr<Server> server, std::shared_ptr<Sink> sink, std::string principal)
    : server_(std::move(server)), sink_(std::move(sink)), principal_(std::move(principal)) {}

size_t Session::pending() const {
  const std::lock_guard lock(mutex_);
  return calls_.size();
}
bool Session::initialized() const {
  const std::lock_guard lock(mutex_);
  return initialized_;
}
std::string Session::version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

void Session::receive(std::string_view text, std::shared_ptr<Sink> sink) {
  try {
    const Json message = parse_message(text);
    if (message.is_array())
      receive_batch(message, sink);
    else
      receive_one(message, sink);
  } catch (const RpcError& e) {
    sink->send(error_text(nullptr, e));
  }
}

void Session::receive_batch(const Json& batch, const std::shared_ptr<Sink>& sink) {
  const std::string v = version();
  if (batch.empty() || (v != "2025-03-26" && v != "2024-11-05"))
    throw RpcError{kInvalidRequest, "a list of messages; this revision has no batches", ""};
  size_t requests = 0;
  for (const Json& message : batch)
    requests += !message.is_object() || (message.contains("method") && message.contains("id"));
  const auto together = std::make_shared<BatchSink>(sink, requests);
  for (const Json& message : batch) receive_one(message, together);
}

void Session::receive_one(const Json& message, const std::shared_ptr<Sink>& sink) {
  Json id = nullptr;
  try {
    if (message.is_object() && message.contains("id") && is_id(message["id"])) id = message["id"];
    if (!message.is_object() || text_at(message, "jsonrpc") != "2.0")
      throw RpcError{kInvalidRequest, "no JSON-RPC 2.0 message", ""};
    if (!message.contains("method")) {
      if (!message.contains("result") && !message.contains("error"))
        throw RpcError{kInvalidRequest, "neither method nor result nor error", ""};
      response(message);
      return;
    }
    if (!message["method"].is_string())
      throw RpcError{kInvalidRequest, "the method is no string", ""};
    if (message.contains("params") && !message["params"].is_object())
      throw RpcError{kInvalidParams, "params is no object", ""};
    if (!message.contains("id")) {
      notification(message);
      return;
    }
    if (!is_id(message["id"]))
      throw RpcError{kInvalidRequest, "the id is neither a string nor an integer", ""};
    request(message, sink);
  } catch (const RpcError& e) {
    sink->send(error_text(id, e));
  }
}

namespace {

bool is_handled_outside(const std::string& method) {
  return method == "tools/call" || method == "resources/read" || method == "prompts/get" ||
         method == "completion/complete";
}

bool is_list(const std::string& method) {
  return method == "tools/list" || method == "resources/list" || method == "prompts/list" ||
         method == "resources/templates/list";
}

}  // namespace

void Session::request(const Json& message, const std::shared_ptr<Sink>& sink) {
  const std::string method = message["method"];
  const Json params = params_of(message);
  if (!asked_version(params).is_null()) {
    modern(method, message, sink);
    return;
  }
  if (method == "server/discover")
    throw RpcError{kInvalidParams, "_meta lacks io.modelcontextprotocol/protocolVersion", ""};
  if (method != "initialize" && method != "ping" && !initialized())
    throw RpcError{kInvalidParams,
                   "_meta lacks io.modelcontextprotocol/protocolVersion, and no initialize came",
                   ""};
  if (is_handled_outside(method)) {
    start_call(message, sink, false);
    return;
  }
  sink->send(result_text(message["id"], legacy(method, params)));
}

Json Session::legacy(const std::string& method, const Json& params) {
  if (method == "initialize") return initialize(params);
  if (method == "ping") return Json::object();
  if (is_list(method)) return list_page(method, params);
  const std::lock_guard lock(mutex_);
  if (method == "logging/setLevel") {
    log_level_ = text_at(params, "level");
    if (log_level_.empty()) throw RpcError{kInvalidParams, "level is no string", ""};
    return Json::object();
  }
  if (method == "resources/subscribe" || method == "resources/unsubscribe") {
    const std::string uri = text_at(params, "uri");
    if (uri.empty()) throw RpcError{kInvalidParams, "uri is no string", ""};
    std::erase(subscribed_, uri);
    if (method == "resources/subscribe") subscribed_.push_back(uri);
    return Json::object();
  }
  throw RpcError{kMethodNotFound, "there is no method " + method, ""};
}

namespace {

Json capabilities() {
  return {{"tools", {{"listChanged", true}}},
          {"resources", {{"subscribe", true}, {"listChanged", true}}},
          {"prompts", {{"listChanged", true}}},
          {"completions", Json::object()},
          {"logging", Json::object()}};
}

}  // namespace

// A client that asks for a revision that is not served gets the newest one with initialize.
Json Session::initialize(const Json& params) {
  const std::string asked = text_at(params, "protocolVersion");
  const auto& all = protocol_versions();
  const bool known =
      asked != kModernVersion && std::find(all.begin(), all.end(), asked) != all.end();
  const std::lock_guard lock(mutex_);
  version_ = known ? asked : all[1];
  if (params.contains("capabilities") && params["capabilities"].is_object())
    client_capabilities_ = params["capabilities"].dump();
  initialized_ = true;
  const ServerOptions& o = server_->options();
  Json result = {{"protocolVersion", version_},
                 {"capabilities", capabilities()},
                 {"serverInfo", server_info(o)}};
  if (!o.instructions.empty()) result["instructions"] = o.instructions;
  return result;
}

Json Session::discover() const {
  const ServerOptions& o = server_->options();
  Json result = {{"supportedVersions", protocol_versions()}, {"capabilities", capabilities()}};
  result["capabilities"]["extensions"] = {{kTasksExtension, Json::object()}};
  if (!o.instructions.empty()) result["instructions"] = o.instructions;
  result["ttlMs"] = 0;
  result["cacheScope"] = "private";
  return result;
}

// Cursors are positions, in a form that nobody will take for a number.
Json Session::list_page(const std::string& method, const Json& params) const {
  const std::string kind = method == "resources/templates/list"
                               ? "resourceTemplates"
                               : method.substr(0, method.find('/'));
  const Json entries = server_->list(kind);
  size_t begin = 0;
  if (params.contains("cursor")) {
    const std::string cursor = text_at(params, "cursor");
    char* end = nullptr;
    if (cursor.starts_with("at-")) begin = std::strtoul(cursor.c_str() + 3, &end, 10);
    if (end == nullptr || *end != 0 || begin == 0 || begin >= entries.size())
      throw RpcError{kInvalidParams, "the cursor is not one of this list's", ""};
  }
  const size_t size = server_->options().page_size;
  Json page = Json::array();
  for (size_t i = begin; i < entries.size() && i < begin + size; ++i) page.push_back(entries[i]);
  Json result = {{kind, page}};
  if (begin + size < entries.size()) result["nextCursor"] = "at-" + std::to_string(begin + size);
  return result;
}

void Session::modern(const std::string& method, const Json& message,
                     const std::shared_ptr<Sink>& sink) {
  const Json params = params_of(message), meta = meta_of(params);
  const Json& version = meta[std::string(kMeta) + "protocolVersion"];
  if (version != kModernVersion) {
    const Json data = {{"supported", {kModernVersion}}, {"requested", version}};
    throw RpcError{kUnsupportedVersion, "the protocol version is not supported", data.dump()};
  }
  const std::string capability_key = std::string(kMeta) + "clientCapabilities";
  if (!meta.contains(capability_key) || !meta[capability_key].is_object())
    throw RpcError{kInvalidParams, "_meta lacks " + capability_key, ""};
  if (is_handled_outside(method)) {
    start_call(message, sink, true);
    return;
  }
  if (method == "subscriptions/listen") {
    listen(message, sink);
    return;
  }
  Json result;
  if (method == "server/discover") {
    result = discover();
  } else if (is_list(method)) {
    result = list_page(method, params);
    result["ttlMs"] = 0;
    result["cacheScope"] = "private";
  } else if (is_task_method(method)) {
    result = task_request(method, params, meta);
  } else {
    throw RpcError{kMethodNotFound, "there is no method " + method, ""};
  }
  sink->send(result_text(message["id"], completed(std::move(result), server_->options())));
}

namespace {

bool flag_at(const Json& object, const char* key) {
  return object.contains(key) && object[key] == true;
}

}  // namespace

void Session::listen(const Json& message, const std::shared_ptr<Sink>& sink) {
  const Json params = params_of(message);
  Json filter =
      params.contains("notifications") ? params["notifications"] : params.value("filter", params);
  if (!filter.is_object()) filter = Json::object();
  Listener l;
  l.id = message["id"].dump();
  l.sink = sink;
  l.tools = flag_at(filter, "toolsListChanged");
  l.prompts = flag_at(filter, "promptsListChanged");
  l.resources = flag_at(filter, "resourcesListChanged");
  l.uris = texts_at(filter, "resourceSubscriptions");
  l.task_ids = texts_at(filter, "taskIds");
  if (!l.task_ids.empty() &&
      !declares_tasks(meta_of(params)[std::string(kMeta) + "clientCapabilities"]))
    throw tasks_not_declared();
  // Tasks of others are not listened to.
  std::erase_if(l.task_ids, [&](const std::string& id) {
    return server_->tasks().get(id, principal_).is_null();
  });
  Json granted = Json::object();
  for (const char* key :
       {"toolsListChanged", "promptsListChanged", "resourcesListChanged", "resourceSubscriptions"})
    if (filter.contains(key)) granted[key] = filter[key];
  if (filter.contains("taskIds")) granted["taskIds"] = l.task_ids;
  sink->send(
      notification_text("notifications/subscriptions/acknowledged",
                        {{"notifications", granted},
                         {"_meta", {{std::string(kMeta) + "subscriptionId", message["id"]}}}}));
  const std::lock_guard lock(mutex_);
  listeners_.push_back(std::move(l));
}

void Session::start_call(const Json& message, const std::shared_ptr<Sink>& sink, bool modern) {
  const Json params = params_of(message);
  const std::string method = message["method"];
  if (method == "tools/call" || method == "prompts/get") {
    if (text_at(params, "name").empty())
      throw RpcError{kInvalidParams, "the name is missing or no string", ""};
    if (params.contains("arguments") && !params["arguments"].is_object())
      throw RpcError{kInvalidParams, "arguments is no object", ""};
  } else if (method == "resources/read" && text_at(params, "uri").empty()) {
    throw RpcError{kInvalidParams, "the uri is missing or no string", ""};
  }
  auto call =
      std::make_shared<Call>(shared_from_this(), sink, method, message["id"], params, modern);
  {
    const std::lock_guard lock(mutex_);
    calls_[call->id_] = call;
  }
  server_->options().handler(std::move(call));
}

void Session::notification(const Json& message) {
  const std::string method = message["method"];
  if (method != "notifications/cancelled") return;
  const Json params = params_of(message);
  if (!params.contains("requestId")) return;
  const std::string id = params["requestId"].dump();
  std::shared_ptr<Call> call;
  std::vector<Listener> ended;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = calls_.find(id); found != calls_.end()) call = found->second.lock();
    std::erase_if(listeners_, [&](const Listener& l) { return l.id == id; });
  }
  if (call) call->cancelled_ = true;
}

void Session::response(const Json& message) {
  if (!message.contains("id") || !message["id"].is_number_integer()) return;
  std::promise<std::string> promise;
  {
    const std::lock_guard lock(mutex_);
    const auto found = asked_.find(message["id"].get<int64_t>());
    if (found == asked_.end()) return;
    promise = std::move(found->second);
    asked_.erase(found);
  }
  if (message.contains("result")) {
    promise.set_value(message["result"].dump());
    return;
  }
  const Json& e = message["error"];
  RpcError error{kInternalError, "the client answered with an error", ""};
  if (e.is_object() && e.contains("code") && e["code"].is_number_integer()) error.code = e["code"];
  if (!text_at(e, "message").empty()) error.message = text_at(e, "message");
  promise.set_exception(std::make_exception_ptr(error));
}

void Session::list_changed(const std::string& kind) {
  const std::string method = "notifications/" + kind + "/list_changed";
  std::vector<Listener> listeners;
  bool legacy = false;
  {
    const std::lock_guard lock(mutex_);
    legacy = initialized_ && !closed_;
    for (const Listener& l : listeners_)
      if ((kind == "tools" && l.tools) || (kind == "prompts" && l.prompts) ||
          (kind == "resources" && l.resources))
        listeners.push_back(l);
  }
  if (legacy) sink_->send(notification_text(method, nullptr));
  for (const Listener& l : listeners)
    l.sink->send(notification_text(
        method,
        {{"_meta", {{std::string(kMeta) + "subscriptionId", Json::parse(l.id, nullptr, false)}}}}));
}

void Session::resource_updated(const std::string& uri) {
  constexpr const char* kMethod = "notifications/resources/updated";
  std::vector<Listener> listeners;
  bool subscribed = false;
  {
    const std::lock_guard lock(mutex_);
    subscribed = std::find(subscribed_.begin(), subscribed_.end(), uri) != subscribed_.end();
    for (const Listener& l : listeners_)
      if (std::find(l.uris.begin(), l.uris.end(), uri) != l.uris.end()) listeners.push_back(l);
  }
  if (subscribed) sink_->send(notification_text(kMethod, {{"uri", uri}}));
  for (const Listener& l : listeners)
    l.sink->send(notification_text(
        kMethod,
        {{"uri", uri},
         {"_meta", {{std::string(kMeta) + "subscriptionId", Json::parse(l.id, nullptr, false)}}}}));
}

void Session::close() {
  std::vector<std::shared_ptr<Call>> calls;
  std::map<int64_t, std::promise<std::string>> asked;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (const auto& [id, weak] : calls_)
      if (auto call = weak.lock()) calls.push_back(std::move(call));
    asked.swap(asked_);
    listeners_.clear();
  }
  for (const auto& call : calls) call->cancelled_ = true;
  for (auto& [id, promise] : asked)
    promise.set_exception(std::make_exception_ptr(RpcError{kInternalError, "the client left", ""}));
}

void Session::forget(const std::string& id, const Call* call) {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(id);
  // Another request may have the same id by now.
  if (found == calls_.end()) return;
  const auto known = found->second.lock();
  if (!known || known.get() == call) calls_.erase(found);
}

}  // namespace lm::mcp
