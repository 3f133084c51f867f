#include "runtime/console.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "engine/core/error.h"
#include "runtime/char_width.h"
#include "runtime/terminal.h"

namespace lm {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 16;
constexpr auto kFlushInterval = std::chrono::milliseconds(50);
constexpr auto kProgressInterval = std::chrono::milliseconds(100);
constexpr size_t kMaxPartial = 4096;  // bytes remembered of an unfinished row

// The part of a row that is on screen after carriage returns.
std::string_view after_return(std::string_view row) {
  const size_t at = row.rfind('\r');
  return at == std::string_view::npos ? row : row.substr(at + 1);
}

}  // namespace

Console::Console(int out_fd, int err_fd)
    : out_fd_(out_fd),
      err_fd_(err_fd),
      out_tty_(::isatty(out_fd) != 0),
      err_tty_(::isatty(err_fd) != 0) {
  const char* no_color = std::getenv("NO_COLOR");
  colors_ = out_tty_ && !(no_color && *no_color) && !terminal_is_dumb();
}

int Console::columns() const {
  return terminal_size(out_fd_).columns;
}
int Console::rows() const {
  return terminal_size(out_fd_).rows;
}

void Console::write_now(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {  // somebody made the terminal non-blocking
      pollfd wait{fd, POLLOUT, 0};
      ::poll(&wait, 1, 1000);
      continue;
    }
    if (fd == err_fd_) return;  // nowhere left to complain
    raise(ErrorCode::io, "write: standard output: {}", std::strerror(errno));
  }
}

void Console::flush_locked() {
  if (buffer_.empty()) return;
  std::string bytes;
  bytes.swap(buffer_);  // lost when the write fails: it would only fail again
  flushed_ = Clock::now();
  write_now(out_fd_, bytes);
}

void Console::flush() {
  const std::lock_guard lock(mutex_);
  flush_locked();
}

// Remembers the unfinished last row.
void Console::track(std::string_view text) {
  const size_t at = text.rfind('\n');
  if (at != std::string_view::npos)
    partial_ = text.substr(at + 1);
  else
    partial_ += text;
  partial_ = std::string(after_return(partial_));
  if (partial_.size() > kMaxPartial) partial_.erase(0, partial_.size() - kMaxPartial);
}

void Console::emit(bool to_err, std::string_view text) {
  const bool tty = to_err ? err_tty_ : out_tty_;
  if (!tty) {
    if (to_err) {
      flush_locked();
      write_now(err_fd_, text);
      return;
    }
    buffer_ += text;
    if (buffer_.size() >= kBufferBytes || Clock::now() - flushed_ >= kFlushInterval) flush_locked();
    return;
  }
  if (line_shown_)
    emit_above(text);
  else
    emit_with_progress(to_err, text);
}

// Erases the line, writes, draws the line again: one write, so nothing flickers or interleaves.
void Console::emit_above(std::string_view text) {
  std::string out;
  erase_line(out);
  const int wide = columns();
  const int cells = text_width(partial_);
  // Output went on a row of its own; unfinished output is continued where it ended, unless that was
  // the margin.
  if (cells % wide != 0) out += "\x1b[1A\r\x1b[" + std::to_string(cells % wide) + "C";
  out += text;
  track(text);
  if (text_width(partial_) > 0) out += "\r\n";
  draw_line(out);
  write_now(out_fd_, out);
}

void Console::emit_with_progress(bool to_err, std::string_view text) {
  std::string out;
  if (progress_drawn_) out += "\r\x1b[K";
  progress_drawn_ = false;
  out += text;
  track(text);
  if (!progress_.empty() && partial_.empty()) {
    out += "\r" + clip(progress_, columns() - 1);
    progress_drawn_ = true;
  }
  write_now(to_err ? err_fd_ : out_fd_, out);
}

void Console::write(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (!text.empty()) emit(false, text);
}

void Console::write_err(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (!text.empty()) emit(true, text);
}

void Console::ensure_line_start() {
  const std::lock_guard lock(mutex_);
  if (!line_shown_ && !partial_.empty()) emit(!out_tty_, "\n");
}

void Console::draw_line(std::string& out) {
  out += "\x1b[?25l";
  status_columns_ = 0;
  if (!status_.empty()) {
    const std::string shown = clip(status_, columns() - 1);
    status_columns_ = text_width(shown);
    out += colors_ ? "\x1b[90m" + shown + "\x1b[0m\r\n" : shown + "\r\n";
  }
  out += frame_;
  out += "\x1b[?25h";
}

void Console::erase_line(std::string& out) const {
  out += hide_;
  if (status_columns_ == 0) return;
  const int wide = std::max(columns(), 1);
  out += "\x1b[" + std::to_string((status_columns_ + wide - 1) / wide) + "A\r\x1b[J";
}

void Console::show_line(std::string frame, std::string hide) {
  const std::lock_guard lock(mutex_);
  std::string out;
  if (line_shown_) {
    erase_line(out);
  } else {
    flush_locked();
    if (progress_drawn_) out += "\r\x1b[K";
    progress_drawn_ = false;
    progress_.clear();
    if (text_width(partial_) > 0) out += "\r\n";
    partial_.clear();
  }
  line_shown_ = true;
  frame_ = std::move(frame);
  hide_ = std::move(hide);
  draw_line(out);
  write_now(out_fd_, out);
}

void Console::line_reflowed(std::string hide) {
  const std::lock_guard lock(mutex_);
  if (line_shown_) hide_ = std::move(hide);
}

void Console::hide_line(std::string_view last) {
  const std::lock_guard lock(mutex_);
  if (!line_shown_) return;
  std::string out;
  erase_line(out);
  out += last;
  line_shown_ = false;
  status_columns_ = 0;
  partial_.clear();
  write_now(out_fd_, out);
}

void Console::clear_screen() {
  const std::lock_guard lock(mutex_);
  std::string out = "\x1b[H\x1b[2J";
  partial_.clear();
  if (line_shown_) draw_line(out);
  write_now(out_fd_, out);
}

void Console::set_status(std::string text) {
  const std::lock_guard lock(mutex_);
  if (text == status_) return;
  std::string out;
  if (line_shown_) erase_line(out);
  status_ = std::move(text);
  if (!line_shown_) return;
  draw_line(out);
  write_now(out_fd_, out);
}

void Console::set_progress(std::string text) {
  const std::lock_guard lock(mutex_);
  if (!err_tty_ || line_shown_) return;
  progress_ = std::move(text);
  if (!partial_.empty()) return;  // drawn after the row of output is finished
  if (progress_.empty()) {
    if (progress_drawn_) write_now(err_fd_, "\r\x1b[K");
    progress_drawn_ = false;
    return;
  }
  if (progress_drawn_ && Clock::now() - progress_time_ < kProgressInterval) return;
  progress_time_ = Clock::now();
  progress_drawn_ = true;
  write_now(err_fd_, "\r\x1b[K" + clip(progress_, columns() - 1));
}

Console& console() {
  static Console instance;
  return instance;
}

}  // namespace lm
