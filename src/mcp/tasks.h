// Calls that go on after their request was answered: the state of each, which clients ask for until
// it has ended (the tasks extension of 2026-07-28, io.modelcontextprotocol/tasks).
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "mcp/message.h"

namespace lm::mcp {

inline constexpr const char* kTasksExtension = "io.modelcontextprotocol/tasks";

// What is missing when a client did not say that it knows tasks.
RpcError tasks_not_declared();
// Whether capabilities of a client (JSON object) name the extension.
bool declares_tasks(const Json& capabilities);

class Tasks {
 public:
  Tasks();
  ~Tasks();

  // Makes a task that is working, and returns it as an answer to the call that began it has it.
  // owner: who may ask for it. ttl_ms: how long it is kept, from now. Throws RpcError when there
  // are too many.
  Json create(const std::string& owner, int64_t ttl_ms, int64_t poll_ms);

  // What happens to it; a task that has ended stays as it is. False when that is so, or when there
  // is no such task.
  bool working(const std::string& id, const std::string& message);
  bool ask(const std::string& id, const Json& requests);  // requests by keys never used before
  bool complete(const std::string& id, const Json& result);
  bool fail(const std::string& id, const RpcError& error);

  // As tasks/get gives it; null where this owner has no such task.
  Json get(const std::string& id, const std::string& owner);
  // The client's side; false where this owner has no such task.
  bool answer(const std::string& id, const std::string& owner, const Json& responses);
  bool cancel(const std::string& id, const std::string& owner);

  // The answers that have come since last asked, by key.
  Json take_answers(const std::string& id);
  // Whether nobody wants its result any more.
  bool is_over(const std::string& id);
  // The task for those who listen; null where there is none.
  Json state(const std::string& id);

 private:
  struct Task;
  Task* find(const std::string& id);  // with mutex_ held; drops tasks whose time is over
  bool change(const std::string& id, const std::function<void(Task&)>& change);

  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Task>> tasks_;
};

}  // namespace lm::mcp
