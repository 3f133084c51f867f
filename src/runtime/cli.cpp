#include "runtime/cli.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "engine/core/edit_distance.h"
#include "engine/core/error.h"
#include "runtime/log.h"

namespace lm {
namespace {

struct Flag {
  const char* name;
  const char* other;     // second spelling, or empty
  const char* argument;  // empty: takes none
  const char* help;
  void (*apply)(Options& options, const std::string& value);
};

constexpr std::array<Flag, 9> kFlags = {{
    {"-e", "", "CODE", "run CODE, then exit; may be given several times",
     [](Options& o, const std::string& value) {
       o.command = Command::code;
       o.code.push_back(value);
     }},
    {"-i", "", "", "show the prompt after the script or the code",
     [](Options& o, const std::string&) { o.interactive = true; }},
    {"-", "", "", "read the script from standard input",
     [](Options& o, const std::string&) { o.command = Command::standard_input; }},
    {"--no-init", "", "", "do not run the start-up file",
     [](Options& o, const std::string&) { o.no_init = true; }},
    {"--quiet", "-q", "", "no banner and no progress",
     [](Options& o, const std::string&) { o.quiet = true; }},
    {"--json", "", "", "results as JSON", [](Options& o, const std::string&) { o.json = true; }},
    {"--log", "", "LEVEL", "show log lines from LEVEL on: debug, info, warn (default) or error",
     [](Options& o, const std::string& value) { o.log_level = value; }},
    {"--version", "-v", "", "print the version",
     [](Options& o, const std::string&) { o.command = Command::version; }},
    {"--help", "-h", "", "print this help",
     [](Options& o, const std::string&) { o.command = Command::help; }},
}};

struct Word {
  const char* name;
  const char* arguments;
  const char* help;
  Command command;
};

constexpr std::array<Word, 7> kWords = {{
    {"run", "[RECIPE ...]", "run a recipe; without a name: list them; RECIPE --help: its options",
     Command::run},
    {"mcp", "[FILE ...]",
     "serve the tools that a script defines over MCP on standard input and output", Command::mcp},
    {"serve", "[MODEL]", "serve models over HTTP; serve --help: the options", Command::serve},
    {"doctor", "", "check what this machine offers and what is missing", Command::doctor},
    {"test", "[FILE ...]", "run spec files (default: tests/lua/*_spec.lua)", Command::test},
    {"version", "", "print the version", Command::version},
    {"help", "", "print this help", Command::help},
}};

struct Variable {
  const char* name;
  const char* meaning;
};

constexpr std::array<Variable, 17> kVariables = {{
    {"LMFAST_HISTORY", "history file of the prompt; empty: keep none"},
    {"LMFAST_LUA_PATH", "folder with stdlib/lm and recipes that replace the compiled-in ones"},
    {"LMFAST_MODELS",
     "folder of models that lm.load finds by name (default: lmfast/models below XDG_CACHE_HOME)"},
    {"LMFAST_THREADS", "compute threads (default: the cores this process may use)"},
    {"LMFAST_KERNELS",
     "amx, avx512, avxvnni, avx2, neon_dot, neon or scalar: kernels to use instead of the best "
     "ones"},
    {"LMFAST_TRAIN_LIBRARY", "the training engine to open instead of liblmfast_train.so"},
    {"LMFAST_CUDA_LIBRARY", "the GPU library to open instead of liblmfast_cuda.so"},
    {"LMFAST_TEST_MODELS", "folder of the models that tests use (default: that of lm.load)"},
    {"LMFAST_TEST_DATA", "folder with the larger test suites"},
    {"XDG_CONFIG_HOME", "lmfast/init.lua below it runs before the prompt (default: ~/.config)"},
    {"XDG_STATE_HOME", "lmfast/history below it holds the history (default: ~/.local/state)"},
    {"XDG_CACHE_HOME", "lmfast below it holds downloaded models (default: ~/.cache)"},
    {"NO_COLOR", "not empty: no colours"},
    {"TERM", "dumb: no line editing"},
    {"VISUAL, EDITOR", "editor of Ctrl-X Ctrl-E and :edit (default: vi)"},
    {"COLUMNS, LINES", "screen size when the terminal does not tell (default: 80, 24)"},
    {"TMPDIR", "folder of temporary files (default: /tmp)"},
}};

template <typename Rows>
std::string nearest(const std::string& word, const Rows& rows) {
  std::string best;
  size_t best_distance = 3;  // farther ones are no help
  for (const auto& row : rows) {
    const size_t distance = edit_distance(word, row.name);
    if (distance >= best_distance || distance >= word.size()) continue;
    best_distance = distance;
    best = row.name;
  }
  return best;
}

[[noreturn]] void unknown_flag(const std::string& flag) {
  const std::string near = nearest(flag, kFlags);
  throw Error(
      ErrorCode::bad_option, fmt::format("unknown option \"{}\"", flag),
      near.empty() ? "lmfast --help lists the options" : fmt::format("did you mean \"{}\"?", near));
}

const Flag* find_flag(const std::string& name) {
  for (const Flag& flag : kFlags)
    if (name == flag.name || (*flag.other && name == flag.other)) return &flag;
  return nullptr;
}

bool is_file(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

// The first argument that is no flag: a command word or a script. The rest belongs to it.
void take_word(Options& options, const std::string& word) {
  for (const Word& row : kWords) {
    if (word != row.name) continue;
    options.command = row.command;
    return;
  }
  if (!is_file(word)) {
    const std::string near = nearest(word, kWords);
    throw Error(ErrorCode::bad_option, fmt::format("\"{}\" is neither a file nor a command", word),
                near.empty() ? "lmfast --help lists the commands"
                             : fmt::format("did you mean \"{}\"?", near));
  }
  options.command = Command::script;
  options.script = word;
}

// Flags up to the first other word. Returns where the words after the flags begin.
size_t take_flags(Options& options, const std::vector<std::string>& arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") return i + 1;
    if (argument.empty() || argument[0] != '-') return i;
    const size_t equals = argument.starts_with("--") ? argument.find('=') : std::string::npos;
    const Flag* flag = find_flag(argument.substr(0, equals));
    if (!flag) unknown_flag(argument.substr(0, equals));
    std::string value;
    if (*flag->argument && equals != std::string::npos) {
      value = argument.substr(equals + 1);
    } else if (*flag->argument) {
      LM_CHECK(i + 1 < arguments.size(), ErrorCode::bad_option, "{}: expected {} after it",
               flag->name, flag->argument);
      value = arguments[++i];
    } else {
      LM_CHECK(equals == std::string::npos, ErrorCode::bad_option, "{}: takes no value",
               flag->name);
    }
    flag->apply(options, value);
    if (options.command == Command::standard_input) return i + 1;
  }
  return arguments.size();
}

}  // namespace

Options parse_command_line(const std::vector<std::string>& arguments) {
  Options options;
  size_t at = take_flags(options, arguments);
  if (options.command == Command::prompt && at < arguments.size()) {
    take_word(options, arguments[at++]);
    if (options.command == Command::run || options.command == Command::mcp) {
      if (at < arguments.size())
        options.script = arguments[at++];  // without: the recipes are listed
    }
  }
  options.arguments.assign(
      arguments.begin() + static_cast<std::ptrdiff_t>(std::min(at, arguments.size())),
      arguments.end());
  const bool terminal = ::isatty(STDIN_FILENO) != 0;
  if (options.command == Command::prompt && !terminal && !options.interactive)
    options.command = Command::standard_input;
  if (options.command == Command::prompt) options.interactive = true;
  if (!options.log_level.empty()) set_log_level(options.log_level);
  return options;
}

std::string command_line_help() {
  std::string text = "lmfast " LM_VERSION
                     ": load, run and script small language models\n\n"
                     "usage:\n"
                     "  lmfast                        the prompt\n"
                     "  lmfast SCRIPT [ARGUMENT ...]  run a Lua file; arg[0] is its name, arg[1] "
                     "the first argument\n"
                     "  COMMAND | lmfast              run standard input as a script\n";
  for (const Word& word : kWords)
    text += fmt::format("  {:<29} {}\n", fmt::format("lmfast {} {}", word.name, word.arguments),
                        word.help);
  text += "\noptions:\n";
  for (const Flag& flag : kFlags) {
    const std::string spelling = fmt::format("{}{}{}{}{}", flag.name, *flag.other ? ", " : "",
                                             flag.other, *flag.argument ? " " : "", flag.argument);
    text += fmt::format("  {:<29} {}\n", spelling, flag.help);
  }
  text += "\nenvironment:\n";
  for (const Variable& variable : kVariables)
    text += fmt::format("  {:<29} {}\n", variable.name, variable.meaning);
  text +=
      "\nexit codes:\n  0 success, 1 error, 2 bad usage, 130 interrupted (Ctrl-C), 128 + n ended "
      "by signal n\n";
  return text;
}

}  // namespace lm
