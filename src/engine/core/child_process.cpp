#include "engine/core/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/interrupt.h"

extern char** environ;

namespace lm {
namespace {

constexpr size_t kKeptOutput = 64 << 10;
constexpr int kPollMs = 100, kPatienceMs = 2000;

// The program as a process group of its own: Ctrl-C reaches it through us only.
class Child {
 public:
  explicit Child(const std::vector<std::string>& argv) {
    int ends[2];
    LM_CHECK(::pipe2(ends, O_CLOEXEC) == 0, ErrorCode::io, "{}: pipe: {}", argv[0],
             std::strerror(errno));
    output_ = ends[0];
    const int error = spawn(argv, ends[1]);
    ::close(ends[1]);
    if (error == 0) return;
    ::close(std::exchange(output_, -1));
    raise(error == ENOENT ? ErrorCode::not_found : ErrorCode::io, "cannot run \"{}\": {}", argv[0],
          std::strerror(error));
  }
  ~Child() {
    if (output_ >= 0) ::close(output_);
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGTERM);
    for (int waited = 0; waited < kPatienceMs && ::waitpid(pid_, nullptr, WNOHANG) == 0;
         waited += kPollMs)
      ::poll(nullptr, 0, kPollMs);
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Appends what has come; false at the end of the output.
  bool read(std::string* text) {
    pollfd wait{output_, POLLIN, 0};
    if (::poll(&wait, 1, kPollMs) <= 0) return true;
    char buffer[4096];
    const ssize_t n = ::read(output_, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) return true;
    if (n > 0) text->append(buffer, static_cast<size_t>(n));
    return n > 0;
  }

  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0)
      LM_CHECK(errno == EINTR, ErrorCode::io, "waitpid: {}", std::strerror(errno));
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  int spawn(const std::vector<std::string>& arguments, int output) {
    std::vector<char*> argv;
    for (const std::string& one : arguments) argv.push_back(const_cast<char*>(one.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&files, output, 1);
    ::posix_spawn_file_actions_adddup2(&files, output, 2);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t defaults, mask;
    sigemptyset(&mask);
    sigemptyset(&defaults);
    for (const int signal : {SIGPIPE, SIGINT, SIGQUIT, SIGTERM}) sigaddset(&defaults, signal);
    ::posix_spawnattr_setsigdefault(&attributes, &defaults);
    ::posix_spawnattr_setsigmask(&attributes, &mask);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    const int error = ::posix_spawnp(&pid_, argv[0], &files, &attributes, argv.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&files);
    if (error != 0) pid_ = -1;
    return error;
  }

  pid_t pid_ = -1;
  int output_ = -1;
};

}  // namespace

ProcessResult run_process(const std::vector<std::string>& argv,
                          const std::function<void(const std::string&)>& on_line) {
  LM_CHECK(!argv.empty(), ErrorCode::bad_option, "run_process: no program");
  Child child(argv);
  ProcessResult result;
  std::string line, piece;
  while (child.read(&piece)) {
    check_interrupt();
    result.output += piece;
    if (result.output.size() > 2 * kKeptOutput)
      result.output.erase(0, result.output.size() - kKeptOutput);
    for (const char c : std::exchange(piece, {})) {
      if (c != '\n' && c != '\r') {
        line += c;
      } else if (!line.empty()) {
        if (on_line) on_line(line);
        line.clear();
      }
    }
  }
  result.code = child.wait();
  if (result.output.size() > kKeptOutput)
    result.output.erase(0, result.output.size() - kKeptOutput);
  return result;
}

}  // namespace lm
