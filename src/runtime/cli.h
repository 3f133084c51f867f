// The command line: lmfast [options] [script | run RECIPE | doctor | test FILES | version | help].
#pragma once

#include <string>
#include <vector>

#include "runtime/options.h"

namespace lm {

// Reads the arguments (without the program's name). Throws Error{bad_option} with a suggestion for
// what is unknown.
Options parse_command_line(const std::vector<std::string>& arguments);

// The text of --help: usage, flags, environment variables, exit codes.
std::string command_line_help();

// Does what the options say and returns the exit code: 0, 1 for an error, 2 for bad usage, 130 when
// interrupted.
int run_command(const Options& options);

}  // namespace lm
