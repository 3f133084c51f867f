#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "engine/core/error.h"
#include "mcp/client.h"
#include "mcp/lines.h"

extern char** environ;

namespace lm::mcp {
namespace {

constexpr auto kPatience = std::chrono::milliseconds(2000);  // before each harder signal

class ProcessClient : public Client {
 public:
  explicit ProcessClient(const std::vector<std::string>& command) {
    LM_CHECK(!command.empty(), ErrorCode::bad_option, "mcp: the command is empty");
    int to[2], from[2];
    LM_CHECK(::pipe2(to, O_CLOEXEC) == 0 && ::pipe2(from, O_CLOEXEC) == 0, ErrorCode::io,
             "mcp: pipe: {}", std::strerror(errno));
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
    // A group of its own: Ctrl-C at the prompt is not for the server.
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t defaults, none;
    sigemptyset(&none);
    sigemptyset(&defaults);
    for (const int signal : {SIGPIPE, SIGINT, SIGQUIT, SIGTERM}) sigaddset(&defaults, signal);
    ::posix_spawnattr_setsigdefault(&attributes, &defaults);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setflags(
        &attributes,
        static_cast<short>(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK));
    const int error = ::posix_spawnp(&pid_, argv[0], &actions, &attributes, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
    ::close(to[0]);
    ::close(from[1]);
    if (error != 0) {
      ::close(to[1]);
      ::close(from[0]);
      raise(ErrorCode::io, "mcp: cannot start \"{}\": {}", command[0], std::strerror(error));
    }
    in_ = to[1];
    out_ = from[0];
    writer_ = std::make_unique<LineWriter>(in_);
    thread_ = std::thread([this] { run(); });
  }
  ~ProcessClient() override { end(); }
  void close() override { end(); }

 protected:
  void send(std::string message) override {
    const std::lock_guard lock(mutex_);
    if (writer_) writer_->send(std::move(message));
  }

 private:
  void run() {
    LineReader reader(out_);
    std::string line;
    while (reader.next(&line)) received(line);
    ended("the server ended");
  }

  bool gone(std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    do {
      if (::waitpid(pid_, nullptr, WNOHANG) != 0) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    } while (std::chrono::steady_clock::now() < deadline);
    return false;
  }

  void end() {
    {
      const std::lock_guard lock(mutex_);
      if (!writer_) return;
      writer_.reset();
      ::close(in_);
    }
    if (!gone(kPatience)) {
      ::kill(-pid_, SIGTERM);
      if (!gone(kPatience)) {
        ::kill(-pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
      }
    }
    ::kill(-pid_, SIGKILL);  // what it left behind would keep the pipe open
    if (thread_.joinable()) thread_.join();
    ::close(out_);
  }

  pid_t pid_ = -1;
  int in_ = -1, out_ = -1;
  std::mutex mutex_;
  std::unique_ptr<LineWriter> writer_;
  std::thread thread_;
};

}  // namespace

std::shared_ptr<Client> start_process_client(const std::vector<std::string>& command) {
  return std::make_shared<ProcessClient>(command);
}

}  // namespace lm::mcp
