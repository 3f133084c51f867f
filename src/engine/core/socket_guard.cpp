#include "engine/core/socket_guard.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace lm {

WatchedSocket::WatchedSocket(int fd) : fd_(::fcntl(fd, F_DUPFD_CLOEXEC, 0)) {}

WatchedSocket::~WatchedSocket() {
  if (fd_ >= 0) ::close(fd_);
}

void WatchedSocket::shut_down() const {
  if (fd_ >= 0) ::shutdown(fd_, SHUT_RDWR);
}

std::shared_ptr<WatchedSocket> SocketGuard::watch(int fd) {
  auto socket = std::make_shared<WatchedSocket>(fd);
  const std::lock_guard lock(mutex_);
  std::erase_if(sockets_, [](const auto& old) { return old.expired(); });
  sockets_.push_back(socket);
  if (stopped()) socket->shut_down();
  return socket;
}

void SocketGuard::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    for (const auto& weak : sockets_)
      if (const auto socket = weak.lock()) socket->shut_down();
  }
  changed_.notify_all();
}

bool SocketGuard::sleep(std::chrono::duration<double> time) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, time, [&] { return stopped(); });
}

}  // namespace lm
