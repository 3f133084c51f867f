#include "agents/confined.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "agents/seccomp_filter.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"

namespace lm::agents {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kFilterFd = 3;  // where the child finds it

std::vector<std::string> bubblewrap(const std::vector<std::string>& command, bool filter) {
  std::vector<std::string> words{"bwrap",         "--unshare-all", "--die-with-parent",
                                 "--new-session", "--clearenv",    "--ro-bind",
                                 "/usr",          "/usr"};
  if (filter) words.insert(words.end(), {"--seccomp", std::to_string(kFilterFd)});
  // Where these are links into /usr they stay links.
  for (const char* folder : {"/bin", "/lib", "/lib64", "/sbin"}) {
    char target[256];
    const ssize_t n = ::readlink(folder, target, sizeof target - 1);
    if (n > 0) {
      words.insert(words.end(), {"--symlink", std::string(target, static_cast<size_t>(n)), folder});
    } else if (::access(folder, F_OK) == 0) {
      words.insert(words.end(), {"--ro-bind", folder, folder});
    }
  }
  words.insert(words.end(), {"--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir",
                             "/tmp", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME",
                             "/tmp", "--setenv", "LANG", "C.UTF-8", "--"});
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

void limit(int resource, rlim_t value) {
  const rlimit r{value, value};
  ::setrlimit(static_cast<__rlimit_resource>(resource), &r);
}

struct Pipes {
  int to[2] = {-1, -1}, from[2] = {-1, -1}, filter = -1;
  ~Pipes() {
    for (const int fd : {to[0], to[1], from[0], from[1], filter})
      if (fd >= 0) ::close(fd);
  }
};

}  // namespace

ConfinedOutcome run_confined(const std::vector<std::string>& command, const std::string& input,
                             const ConfinedLimits& limits) {
  Pipes p;
  LM_CHECK(::pipe2(p.to, O_CLOEXEC) == 0 && ::pipe2(p.from, O_CLOEXEC) == 0, ErrorCode::io,
           "sandbox: pipe: {}", std::strerror(errno));
  const int filter = seccomp_filter();
  p.filter = filter;
  const auto words = bubblewrap(command, filter >= 0);
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  LM_CHECK(pid >= 0, ErrorCode::io, "sandbox: fork: {}", std::strerror(errno));
  if (pid == 0) {  // only calls that are safe after a fork
    ::setpgid(0, 0);
    ::dup2(p.to[0], 0);
    ::dup2(p.from[1], 1);
    ::dup2(p.from[1], 2);
    if (filter == kFilterFd) ::fcntl(filter, F_SETFD, 0);
    if (filter >= 0 && filter != kFilterFd) ::dup2(filter, kFilterFd);
    limit(RLIMIT_AS, limits.memory_bytes + (size_t{64} << 20));
    limit(RLIMIT_CPU, static_cast<rlim_t>(limits.seconds) + 1);
    limit(RLIMIT_FSIZE, size_t{64} << 20);
    limit(RLIMIT_NOFILE, 64);
    limit(RLIMIT_CORE, 0);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    ::execvp(argv[0], argv.data());
    ::_exit(errno == ENOENT ? 127 : 126);
  }
  ::close(std::exchange(p.to[0], -1));
  ::close(std::exchange(p.from[1], -1));
  ::fcntl(p.to[1], F_SETFL, O_NONBLOCK);
  ConfinedOutcome outcome;
  const auto deadline = Clock::now() + std::chrono::duration<double>(limits.seconds);
  size_t written = 0;
  bool interrupted = false;
  for (bool open = true; open;) {
    if (written == input.size() && p.to[1] >= 0) ::close(std::exchange(p.to[1], -1));
    pollfd fds[2] = {{p.from[0], POLLIN, 0}, {p.to[1], POLLOUT, 0}};
    ::poll(fds, p.to[1] >= 0 ? 2 : 1, 50);
    if (p.to[1] >= 0 && fds[1].revents != 0) {
      const ssize_t n = ::write(p.to[1], input.data() + written, input.size() - written);
      if (n > 0)
        written += static_cast<size_t>(n);
      else if (errno != EAGAIN && errno != EINTR)
        written = input.size();
    }
    if (fds[0].revents != 0) {
      char buffer[65536];
      const ssize_t n = ::read(p.from[0], buffer, sizeof buffer);
      if (n > 0) {
        const size_t room = limits.output_bytes - outcome.output.size();
        outcome.output.append(buffer, std::min(room, static_cast<size_t>(n)));
      } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        open = false;
      }
    }
    interrupted = interrupt_pending();
    if (Clock::now() > deadline || interrupted) {
      outcome.reason = fmt::format("it took longer than {} s", limits.seconds);
      break;
    }
  }
  if (!outcome.reason.empty()) ::kill(-pid, SIGKILL);
  int status = 0;
  // Its output may be closed while it runs on.
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    if (Clock::now() > deadline) {
      outcome.reason = fmt::format("it took longer than {} s", limits.seconds);
      ::kill(-pid, SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (interrupted) check_interrupt();
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (outcome.status == 127 && outcome.output.empty())
    throw Error(ErrorCode::unsupported, "sandbox: there is no bubblewrap on this machine",
                "install the package bubblewrap");
  if (outcome.output.starts_with("bwrap: "))
    throw Error(ErrorCode::unsupported,
                "sandbox: this machine does not allow it: " +
                    outcome.output.substr(0, outcome.output.find('\n')),
                "user namespaces must be allowed; nothing is run without them");
  return outcome;
}

}  // namespace lm::agents
