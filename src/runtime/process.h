// Child processes on the user's terminal.
#pragma once

#include <string>

namespace lm {

// Runs a command line with /bin/sh on the terminal in its normal state; Ctrl-C goes to the command.
// Returns its exit code, or 128 + signal. Throws Error{io} when it cannot be started.
int run_shell(const std::string& command);

// Opens $VISUAL or $EDITOR (vi when unset) on the text and returns what was saved. Throws Error{io}
// when the editor cannot run or fails.
std::string edit_text(const std::string& text);

}  // namespace lm
