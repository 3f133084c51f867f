// What clients ask about tasks; the answers do not wait for the tool's thread.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "mcp/server.h"

namespace lm::mcp {

bool is_task_method(const std::string& method) {
  return method == "tasks/get" || method == "tasks/update" || method == "tasks/cancel";
}

Json Session::task_request(const std::string& method, const Json& params, const Json& meta) {
  if (!declares_tasks(meta[std::string(kMeta) + "clientCapabilities"])) throw tasks_not_declared();
  const std::string id = text_at(params, "taskId");
  if (id.empty()) throw RpcError{kInvalidParams, "the taskId is missing or no string", ""};
  const RpcError unknown{kInvalidParams, "there is no task of this id", ""};
  Tasks& tasks = server_->tasks();
  if (method == "tasks/get") {
    Json task = tasks.get(id, principal_);
    if (task.is_null()) throw unknown;
    return task;
  }
  if (method == "tasks/update") {
    if (!params.contains("inputResponses") || !params["inputResponses"].is_object())
      throw RpcError{kInvalidParams, "inputResponses is missing or no object", ""};
    if (!tasks.answer(id, principal_, params["inputResponses"])) throw unknown;
  } else if (!tasks.cancel(id, principal_)) {
    throw unknown;
  }
  server_->task_changed(id);
  if (server_->options().on_task) server_->options().on_task(id);
  return Json::object();
}

void Session::task_changed(const std::string& id, const Json& state) {
  std::vector<Listener> listeners;
  {
    const std::lock_guard lock(mutex_);
    for (const Listener& l : listeners_)
      if (std::find(l.task_ids.begin(), l.task_ids.end(), id) != l.task_ids.end())
        listeners.push_back(l);
  }
  for (const Listener& l : listeners) {
    Json params = state;
    params["_meta"][std::string(kMeta) + "subscriptionId"] = Json::parse(l.id, nullptr, false);
    l.sink->send(notification_text("notifications/tasks", params));
  }
}

}  // namespace lm::mcp
