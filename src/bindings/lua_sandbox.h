// A Lua state for code that nobody vouches for: a VM of its own with a few safe functions, limits
// on memory, instructions, time and output. The limits hold whatever the code does: the compiler is
// off, so that the instruction hook is always looked at, an exceeded limit is raised again and
// again until all is unwound, and library functions that no hook can interrupt are bounded.
#pragma once

#include <cstdint>
#include <functional>
#include <lua.hpp>
#include <memory>
#include <string>
#include <vector>

#include "runtime/value.h"

namespace lm {

struct SandboxLimits {
  size_t memory_bytes = size_t{64} << 20;
  int64_t instructions = 50'000'000;  // of one run
  double seconds = 5;                 // of one run, without the time that outside functions take
  size_t output_bytes = 50'000;       // of print
};

struct SandboxOutcome {
  bool ok = false;
  std::vector<Value> results;
  std::string output;  // what was printed
  std::string error;
  std::string limit;  // which was exceeded: "memory", "instructions", "seconds"; else empty
};

class LuaSandbox {
 public:
  // Called with a name and arguments; what it throws (lm::Error) becomes an error in the sandbox.
  using Outside = std::function<std::vector<Value>(const std::string& name,
                                                   const std::vector<Value>& arguments)>;

  // functions: names that call `outside`. Throws unsupported where LuaJIT takes no allocator.
  LuaSandbox(SandboxLimits limits, const std::vector<std::string>& functions, Outside outside);
  ~LuaSandbox();
  LuaSandbox(const LuaSandbox&) = delete;
  LuaSandbox& operator=(const LuaSandbox&) = delete;

  // Runs text (never bytecode) as an expression or a chunk. Variables stay for the next run.
  SandboxOutcome run(const std::string& source);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lm
