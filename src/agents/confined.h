// Programs of others behind bubblewrap: no network, an own view of processes and files with nothing
// but the system's read-only /usr, an empty environment, limits on time, memory, processes and
// output.
#pragma once

#include <string>
#include <vector>

namespace lm::agents {

struct ConfinedLimits {
  double seconds = 10;  // then the whole group is killed
  size_t memory_bytes = size_t{512} << 20;
  size_t output_bytes = 50'000;  // of standard output and error together; what follows is dropped
};

struct ConfinedOutcome {
  int status = 0;      // exit code, or 128 + signal
  std::string output;  // standard output and error as they came
  std::string reason;  // "it took longer than 10 s"; else empty
};

// Runs a program with `input` on its standard input. Throws unsupported where there is no
// bubblewrap or the kernel does not let it make namespaces, naming what to do; it never runs
// anything unconfined.
ConfinedOutcome run_confined(const std::vector<std::string>& command, const std::string& input,
                             const ConfinedLimits& limits);

}  // namespace lm::agents
