#include "engine/core/socket_guard.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace lm {

namespace {
// Beyond payload / 4 (small chunks, TLS records) and what the kernel buffers.
constexpr uint64_t kOverheadBytes = uint64_t{24} << 20;
}  // namespace

WatchedSocket::WatchedSocket(int fd) : fd_(::fcntl(fd, F_DUPFD_CLOEXEC, 0)) {}

WatchedSocket::~WatchedSocket() {
  if (fd_ >= 0) ::close(fd_);
}

void WatchedSocket::shut_down() const {
  if (fd_ >= 0) ::shutdown(fd_, SHUT_RDWR);
}

uint64_t WatchedSocket::received() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (fd_ < 0 || ::getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return info.tcpi_bytes_received;
}

std::shared_ptr<WatchedSocket> SocketGuard::watch(int fd) {
  auto socket = std::make_shared<WatchedSocket>(fd);
  const std::lock_guard lock(mutex_);
  std::erase_if(sockets_, [](const auto& old) { return old.expired(); });
  sockets_.push_back(socket);
  if (stopped()) socket->shut_down();
  return socket;
}

std::vector<std::shared_ptr<WatchedSocket>> SocketGuard::live() {
  std::vector<std::shared_ptr<WatchedSocket>> out;
  const std::lock_guard lock(mutex_);
  for (const auto& weak : sockets_)
    if (auto socket = weak.lock()) out.push_back(std::move(socket));
  return out;
}

void SocketGuard::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  for (const auto& socket : live()) socket->shut_down();
}

void SocketGuard::check_floods() {
  for (const auto& socket : live()) {
    const uint64_t delivered = socket->delivered, received = socket->received();
    if (received > delivered && received - delivered > kOverheadBytes + delivered / 4)
      socket->shut_down();
  }
}

bool SocketGuard::sleep(std::chrono::duration<double> time) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, time, [&] { return stopped(); });
}

}  // namespace lm
