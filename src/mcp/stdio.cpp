#include "mcp/stdio.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "engine/core/error.h"
#include "mcp/lines.h"

namespace lm::mcp {

namespace {
constexpr int kLastAnswers = 400;  // times 5 ms
}

int claim_standard_output() {
  const int out = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  LM_CHECK(out >= 0, ErrorCode::io, "mcp: standard output: {}", std::strerror(errno));
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  return out;
}

struct StdioServer::Impl {
  std::shared_ptr<LineWriter> writer;
  std::shared_ptr<Session> session;
  int in, stop_fd;
  std::function<void()> on_end;
  std::thread thread;

  void run() {
    LineReader reader(in, stop_fd);
    std::string line;
    while (reader.next(&line)) {
      if (line.find_first_not_of(" \t\r") == line.npos) continue;
      session->receive(line, writer);
    }
    // What was asked for last is still answered, if that does not take long.
    for (int i = 0; i < kLastAnswers && session->pending() > 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    session->close();
    on_end();
  }
};

StdioServer::StdioServer(std::shared_ptr<Server> server, int in, int out,
                         std::function<void()> on_end)
    : impl_(std::make_unique<Impl>()) {
  impl_->writer = std::make_shared<LineWriter>(out);
  impl_->session = server->connect(impl_->writer);
  impl_->in = in;
  impl_->stop_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  impl_->on_end = std::move(on_end);
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

StdioServer::~StdioServer() {
  const uint64_t one = 1;
  [[maybe_unused]] const auto n = ::write(impl_->stop_fd, &one, sizeof one);
  if (impl_->thread.joinable()) impl_->thread.join();
  ::close(impl_->stop_fd);
}

}  // namespace lm::mcp
