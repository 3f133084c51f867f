#include "runtime/process.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <span>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "runtime/console.h"
#include "runtime/terminal.h"

extern char** environ;

namespace lm {
namespace {

// Ctrl-C and Ctrl-\ are the child's while it runs.
class IgnoreKeys {
 public:
  IgnoreKeys() {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGINT, &ignore, &interrupt_);
    ::sigaction(SIGQUIT, &ignore, &quit_);
  }
  ~IgnoreKeys() {
    ::sigaction(SIGINT, &interrupt_, nullptr);
    ::sigaction(SIGQUIT, &quit_, nullptr);
  }
  IgnoreKeys(const IgnoreKeys&) = delete;
  IgnoreKeys& operator=(const IgnoreKeys&) = delete;

 private:
  struct sigaction interrupt_ {};
  struct sigaction quit_ {};
};

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    LM_CHECK(errno == EINTR, ErrorCode::io, "shell: waitpid: {}", std::strerror(errno));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

int run_shell(const std::string& command) {
  console().flush();
  const CookedScope cooked;
  const IgnoreKeys keys;
  // An ignored signal would stay ignored in the child: give it the default of every one we changed.
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t defaults, mask;
  sigemptyset(&mask);
  sigemptyset(&defaults);
  for (const int signal : {SIGPIPE, SIGINT, SIGQUIT}) sigaddset(&defaults, signal);
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setsigmask(&attributes, &mask);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  std::string shell = "sh", flag = "-c", text = command;
  char* argv[] = {shell.data(), flag.data(), text.data(), nullptr};
  pid_t child = 0;
  const int error = ::posix_spawn(&child, "/bin/sh", nullptr, &attributes, argv, environ);
  ::posix_spawnattr_destroy(&attributes);
  LM_CHECK(error == 0, ErrorCode::io, "shell: cannot start /bin/sh: {}", std::strerror(error));
  return wait_for(child);
}

std::string edit_text(const std::string& text) {
  const char* editor = std::getenv("VISUAL");
  if (!editor || !*editor) editor = std::getenv("EDITOR");
  if (!editor || !*editor) editor = "vi";
  std::string folder = (std::filesystem::temp_directory_path() / "lmfast-XXXXXX").string();
  LM_CHECK(::mkdtemp(folder.data()), ErrorCode::io, "edit: cannot create a folder in {}: {}",
           folder, std::strerror(errno));
  struct Remove {
    std::string path;
    ~Remove() {
      std::error_code none;
      std::filesystem::remove_all(path, none);
    }
  } remove{folder};
  const std::string path = folder + "/input.lua";
  write_file_atomic(path, std::as_bytes(std::span(text)));
  const int code = run_shell(std::string(editor) + " '" + path + "'");
  LM_CHECK(code == 0, ErrorCode::io, "edit: \"{}\" ended with code {}; the text is unchanged",
           editor, code);
  std::string edited = read_file(path);
  while (edited.ends_with('\n')) edited.pop_back();
  return edited;
}

}  // namespace lm
