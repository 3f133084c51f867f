// Messages as lines of file descriptors.
#pragma once

#include <mutex>
#include <string>

#include "mcp/server.h"

namespace lm::mcp {

class LineReader {
 public:
  // stop_fd: readable when reading is to end; -1: none.
  explicit LineReader(int fd, int stop_fd = -1) : fd_(fd), stop_fd_(stop_fd) {}
  // The next line without its end; false at the end. A line beyond the limit of messages is cut
  // there, so that it is no JSON.
  bool next(std::string* line);

 private:
  const int fd_, stop_fd_;
  std::string buffer_;
  size_t searched_ = 0;
  bool skipping_ = false;  // the rest of a line that was too long
};

// Whole lines at a time, from any thread. Does not own the descriptor. A reader that is gone is no
// error: its messages are dropped.
class LineWriter : public Sink {
 public:
  explicit LineWriter(int fd) : fd_(fd) {}
  void send(std::string message) override;

 private:
  const int fd_;
  std::mutex mutex_;
  bool broken_ = false;
};

}  // namespace lm::mcp
