// Programs that run for us, without a shell and without the terminal.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace lm {

struct ProcessResult {
  int code = 0;        // the exit code, or 128 + signal
  std::string output;  // the last 64 KiB of stdout and stderr
};

// Runs argv[0] (looked up in PATH) with the environment and an empty stdin, and waits. `on_line`
// (may be empty) gets each line of output. An interrupt ends the program. Throws not_found when
// there is no such program, io, interrupted.
ProcessResult run_process(const std::vector<std::string>& argv,
                          const std::function<void(const std::string&)>& on_line = {});

}  // namespace lm
