// The stdio transport: one message a line, nothing else on standard output.
#pragma once

#include <functional>
#include <memory>

#include "mcp/server.h"

namespace lm::mcp {

// Takes standard output away from everybody else: what is printed from now on goes to standard
// error. Returns the descriptor that messages go to.
int claim_standard_output();

// Reads messages from `in` on a thread of its own and writes answers to `out` until `in` ends; then
// calls on_end on that thread.
class StdioServer {
 public:
  StdioServer(std::shared_ptr<Server> server, int in, int out, std::function<void()> on_end);
  ~StdioServer();
  StdioServer(const StdioServer&) = delete;
  StdioServer& operator=(const StdioServer&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lm::mcp
