// What each command of the command line does.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <memory>

#include "bindings/session.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/core/mapped_file.h"
#include "runtime/cli.h"
#include "runtime/console.h"
#include "runtime/event_loop.h"
#include "runtime/interrupt.h"
#include "runtime/jobs.h"
#include "runtime/lua_state.h"
#include "runtime/repl.h"
#include "runtime/shutdown.h"
#include "runtime/terminal.h"

namespace lm {
namespace {

namespace fs = std::filesystem;

std::string init_file() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  if (config && *config) return std::string(config) + "/lmfast/init.lua";
  const char* home = std::getenv("HOME");
  return home && *home ? std::string(home) + "/.config/lmfast/init.lua" : std::string();
}

// Everything on standard input; posted work waits. Ends early when interrupted.
std::string read_standard_input() {
  std::string text;
  char bytes[65536];
  for (;;) {
    const ssize_t n = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (n > 0) text.append(bytes, static_cast<size_t>(n));
    if (n == 0) return text;
    if (n > 0) continue;
    check_interrupt();
    LM_CHECK(errno == EINTR, ErrorCode::io, "standard input: {}", std::strerror(errno));
  }
}

constexpr std::chrono::milliseconds kJobsEnd(2000);  // the time jobs have to end at exit
constexpr std::chrono::milliseconds kStatusInterval(500);

void end_jobs_at_exit() {
  on_shutdown(ShutdownStage::jobs, [] {
    main_jobs().set_on_end(nullptr);
    if (!main_jobs().stop_all(kJobsEnd)) abandon_threads();
  });
}

std::string end_line(const JobInfo& info) {
  std::string line = fmt::format("[{}] {} {} after {:.1f} s", info.id, info.name,
                                 job_state_name(info.state), info.elapsed_s);
  if (info.error && info.state == JobState::failed) line += ": " + info.error->message();
  return line + "\n";
}

// The row above the prompt and a line for each job that ends.
void show_jobs_at_prompt() {
  main_jobs().set_on_end([](const JobInfo& info) {
    main_loop().post([info] {
      console().set_status(main_jobs().status_line());
      console().write(end_line(info));
    });
  });
  main_loop().add_timer(kStatusInterval, [] { console().set_status(main_jobs().status_line()); });
}

int run_code(Session& session, const Options& options) {
  for (const std::string& code : options.code)
    if (const int result = session.script(code, "=(command line)", options.arguments))
      return result;
  return 0;
}

int run_tests(Session& session, const Options& options) {
  std::vector<std::string> files = options.arguments;
  if (files.empty() && fs::is_directory("tests/lua")) {
    for (const auto& entry : fs::recursive_directory_iterator("tests/lua"))
      if (entry.path().string().ends_with("_spec.lua")) files.push_back(entry.path().string());
    std::sort(files.begin(), files.end());
  }
  LM_CHECK(!files.empty(), ErrorCode::bad_option,
           "test: expected spec files, or a folder tests/lua with *_spec.lua");
  return session.call_main("lm.spec", "main", std::nullopt, files);
}

int run_prompt(Session& session, const Options& options) {
  set_force_quit(3);
  const std::string init = init_file();
  std::error_code none;
  if (!options.no_init && !init.empty() && fs::is_regular_file(init, none)) {
    session.script(read_file(init), "@" + init, {});
    clear_interrupt();
  }
  if (!options.quiet) {
    std::string banner = session.banner();
    if (!banner.empty() && !banner.ends_with('\n')) banner += '\n';
    console().out_is_tty() ? console().write(banner) : console().write_err(banner);
  }
  show_jobs_at_prompt();
  History history(History::default_path());
  history.load();
  return Repl(session, history).run();
}

int run_in_session(Session& session, const Options& options) {
  switch (options.command) {
    case Command::code:
      return run_code(session, options);
    case Command::script:
      return session.script(read_file(options.script), "@" + options.script, options.arguments);
    case Command::standard_input:
      return session.script(read_standard_input(), "=stdin", options.arguments);
    case Command::run:
      return session.call_main("lm.recipe", "main", options.script, options.arguments);
    case Command::mcp:
      return session.call_main("lm.mcp_model", "main", options.script, options.arguments);
    case Command::serve:
      return session.call_main("lm.serve", "main", std::nullopt, options.arguments);
    case Command::doctor:
      return session.script("print(require('lmfast').doctor())", "=(doctor)", options.arguments);
    case Command::test:
      return run_tests(session, options);
    default:
      return 0;
  }
}

}  // namespace

int run_command(const Options& options) {
  if (options.command == Command::version) {
    console().write("lmfast " LM_VERSION "\n");
    return 0;
  }
  if (options.command == Command::help) {
    console().write(command_line_help());
    return 0;
  }
  terminal_setup();
  main_loop();  // made by the main thread, before any other thread or signal
  install_signal_handlers([] { main_loop().wake(); });
  auto state = std::make_unique<LuaState>(LuaState::Kind::main);
  end_jobs_at_exit();
  Session session(state->get());
  int code = 0;
  if (options.command != Command::prompt) {
    set_force_quit(2);
    code = run_in_session(session, options);
    if (options.interactive) clear_interrupt();
  }
  if (options.interactive && quit_requested() < 0) code = run_prompt(session, options);
  if (quit_requested() >= 0 && code == 0) code = quit_requested();
  shut_down();
  state.reset();
  if (terminate_requested() != 0) code = terminate_requested();
  return code;
}

}  // namespace lm
