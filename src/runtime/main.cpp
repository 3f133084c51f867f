// The executable: reads the command line, runs it, reports what nobody else could.
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "runtime/cli.h"
#include "runtime/console.h"
#include "runtime/shutdown.h"

namespace {

int fail(const lm::Error& error, int code) {
  const std::string place = error.where().empty() ? "" : error.where() + ": ";
  const std::string hint = error.hint().empty() ? "" : "\n  hint: " + error.hint();
  lm::console().write_err("lmfast: " + place + error.message() + hint + "\n");
  return code;
}

int run(const std::vector<std::string>& arguments) {
  try {
    lm::options() = lm::parse_command_line(arguments);
  } catch (const lm::Error& error) {
    return fail(error, 2);
  }
  int code = 1;
  try {
    code = lm::run_command(lm::options());
  } catch (const lm::Error& error) {
    code = fail(error, error.code() == lm::ErrorCode::interrupted  ? 130
                       : error.code() == lm::ErrorCode::bad_option ? 2
                                                                   : 1);
  } catch (const std::exception& error) {
    code = fail(lm::Error(lm::ErrorCode::internal, error.what()), 1);
  }
  lm::shut_down();
  try {
    lm::console().flush();
  } catch (const lm::Error& error) {
    if (code == 0) code = fail(error, 1);
  }
  if (lm::threads_abandoned()) lm::end_process(code);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of the write
  return run({argv + 1, argv + argc});
}
