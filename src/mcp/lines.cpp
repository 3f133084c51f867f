#include "mcp/lines.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace lm::mcp {

bool LineReader::next(std::string* line) {
  for (;;) {
    const size_t end = buffer_.find('\n', searched_);
    if (end != buffer_.npos) {
      *line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      searched_ = 0;
      if (std::exchange(skipping_, false)) continue;
      if (!line->empty() && line->back() == '\r') line->pop_back();
      return true;
    }
    if (buffer_.size() > kMaxMessage) {
      *line = skipping_ ? "" : buffer_.substr(0, 1);
      const bool first = !std::exchange(skipping_, true);
      buffer_.clear();
      searched_ = 0;
      if (first) return true;
    }
    searched_ = buffer_.size();
    pollfd fds[2] = {{fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
    if (::poll(fds, stop_fd_ >= 0 ? 2 : 1, -1) < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    if (stop_fd_ >= 0 && fds[1].revents != 0) return false;
    char chunk[65536];
    const ssize_t n = ::read(fd_, chunk, sizeof chunk);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) {
      // A last line may lack its end.
      if (buffer_.empty() || skipping_) return false;
      *line = std::exchange(buffer_, {});
      searched_ = 0;
      return true;
    }
    buffer_.append(chunk, static_cast<size_t>(n));
  }
}

void LineWriter::send(std::string message) {
  message += '\n';
  const std::lock_guard lock(mutex_);
  if (broken_) return;
  for (size_t at = 0; at < message.size();) {
    const ssize_t n = ::write(fd_, message.data() + at, message.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      pollfd p{fd_, POLLOUT, 0};
      ::poll(&p, 1, 1000);
      continue;
    }
    if (n <= 0) {
      broken_ = true;
      return;
    }
    at += static_cast<size_t>(n);
  }
}

}  // namespace lm::mcp
