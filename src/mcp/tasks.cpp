#include "mcp/tasks.h"

#include <fmt/chrono.h>

#include <nlohmann/json.hpp>

namespace lm::mcp {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostTasks = 10000;

std::string now_text() {
  const auto now = std::chrono::system_clock::now();
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(now)), ms);
}

}  // namespace

RpcError tasks_not_declared() {
  const Json needed = {
      {"requiredCapabilities", {{"extensions", {{kTasksExtension, Json::object()}}}}}};
  return {kMissingCapability, "this needs a client that knows the tasks extension", needed.dump()};
}

bool declares_tasks(const Json& capabilities) {
  return capabilities.is_object() && capabilities.contains("extensions") &&
         capabilities["extensions"].is_object() &&
         capabilities["extensions"].contains(kTasksExtension);
}

struct Tasks::Task {
  std::string owner;
  std::string status = "working", message;
  std::string created = now_text(), updated = created;
  Clock::time_point ends;
  int64_t ttl_ms = 0, poll_ms = 0;
  Json requests = Json::object(), answers = Json::object();
  Json outcome;  // the result, or the error

  bool ended() const { return status != "working" && status != "input_required"; }
  Json json(const std::string& id) const {
    Json out = {{"taskId", id},         {"status", status},
                {"createdAt", created}, {"lastUpdatedAt", updated},
                {"ttlMs", ttl_ms},      {"pollIntervalMs", poll_ms}};
    if (!message.empty()) out["statusMessage"] = message;
    if (status == "input_required") out["inputRequests"] = requests;
    if (status == "completed") out["result"] = outcome;
    if (status == "failed") out["error"] = outcome;
    return out;
  }
};

Tasks::Tasks() = default;
Tasks::~Tasks() = default;

Json Tasks::create(const std::string& owner, int64_t ttl_ms, int64_t poll_ms) {
  auto task = std::make_unique<Task>();
  task->owner = owner;
  task->ttl_ms = ttl_ms;
  task->poll_ms = poll_ms;
  task->ends = Clock::now() + std::chrono::milliseconds(ttl_ms);
  const std::string id = unguessable_id();
  const std::lock_guard lock(mutex_);
  if (tasks_.size() >= kMostTasks)
    std::erase_if(tasks_, [](const auto& t) { return t.second->ends < Clock::now(); });
  if (tasks_.size() >= kMostTasks)
    throw RpcError{kInternalError, "there are too many tasks; try again later", ""};
  Json out = task->json(id);
  tasks_.emplace(id, std::move(task));
  return out;
}

Tasks::Task* Tasks::find(const std::string& id) {
  const auto found = tasks_.find(id);
  if (found == tasks_.end()) return nullptr;
  if (found->second->ends >= Clock::now()) return found->second.get();
  tasks_.erase(found);
  return nullptr;
}

bool Tasks::change(const std::string& id, const std::function<void(Task&)>& change) {
  const std::lock_guard lock(mutex_);
  Task* const task = find(id);
  if (task == nullptr || task->ended()) return false;
  change(*task);
  task->updated = now_text();
  return true;
}

bool Tasks::working(const std::string& id, const std::string& message) {
  return change(id, [&](Task& t) {
    if (t.requests.empty()) t.status = "working";
    t.message = message;
  });
}

bool Tasks::ask(const std::string& id, const Json& requests) {
  return change(id, [&](Task& t) {
    t.status = "input_required";
    t.requests.update(requests);
  });
}

bool Tasks::complete(const std::string& id, const Json& result) {
  return change(id, [&](Task& t) {
    t.status = "completed";
    t.outcome = result;
  });
}

bool Tasks::fail(const std::string& id, const RpcError& error) {
  return change(id, [&](Task& t) {
    t.status = "failed";
    t.message = error.message;
    t.outcome = {{"code", error.code}, {"message", error.message}};
    if (!error.data.empty()) t.outcome["data"] = Json::parse(error.data, nullptr, false);
  });
}

Json Tasks::get(const std::string& id, const std::string& owner) {
  const std::lock_guard lock(mutex_);
  const Task* const task = find(id);
  return task == nullptr || task->owner != owner ? Json() : task->json(id);
}

Json Tasks::state(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const Task* const task = find(id);
  return task == nullptr ? Json() : task->json(id);
}

// Answers to what was not asked, or is answered already, are left aside.
bool Tasks::answer(const std::string& id, const std::string& owner, const Json& responses) {
  const std::lock_guard lock(mutex_);
  Task* const task = find(id);
  if (task == nullptr || task->owner != owner) return false;
  for (const auto& [key, response] : responses.items()) {
    if (!task->requests.contains(key)) continue;
    task->requests.erase(key);
    task->answers[key] = response;
    task->updated = now_text();
  }
  if (task->requests.empty() && task->status == "input_required") task->status = "working";
  return true;
}

bool Tasks::cancel(const std::string& id, const std::string& owner) {
  const std::lock_guard lock(mutex_);
  Task* const task = find(id);
  if (task == nullptr || task->owner != owner) return false;
  if (task->ended()) return true;
  task->status = "cancelled";
  task->updated = now_text();
  return true;
}

Json Tasks::take_answers(const std::string& id) {
  const std::lock_guard lock(mutex_);
  Task* const task = find(id);
  return task == nullptr ? Json::object() : std::exchange(task->answers, Json::object());
}

bool Tasks::is_over(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const Task* const task = find(id);
  return task == nullptr || task->ended();
}

}  // namespace lm::mcp
