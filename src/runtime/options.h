// What the command line asked for.
#pragma once

#include <string>
#include <vector>

namespace lm {

enum class Command : unsigned char {
  prompt,
  code,
  script,
  standard_input,
  run,
  mcp,
  serve,
  doctor,
  test,
  version,
  help
};

struct Options {
  Command command = Command::prompt;
  std::vector<std::string> code;       // -e, in order
  std::string script;                  // file, or what `run` and `mcp` name
  std::vector<std::string> arguments;  // after the script / recipe / `test`
  bool interactive = false;            // a prompt will be shown (-i, or no script and a terminal)
  bool no_init = false;                // do not run the start-up file
  bool quiet = false;                  // no banner, no progress
  bool json = false;                   // results as JSON
  std::string log_level;               // empty: the default
};

// The options of this process.
Options& options();

}  // namespace lm
