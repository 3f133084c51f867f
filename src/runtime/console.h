// The one writer to stdout and stderr. Knows what stands on the screen besides output (the line
// being typed, the status of jobs, a progress line), so that output from any thread never lands in
// the middle of it. Thread-safe.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>

namespace lm {

class Console {
 public:
  // Output to `out_fd` and `err_fd`; other numbers than 1 and 2 serve tests.
  explicit Console(int out_fd = 1, int err_fd = 2);

  bool out_is_tty() const { return out_tty_; }
  bool err_is_tty() const { return err_tty_; }
  // Colours on stdout: a terminal, no NO_COLOR, TERM not dumb.
  bool colors() const { return colors_; }
  int columns() const;
  int rows() const;

  // Writes to stdout / stderr, above the typed line when there is one. Throws Error{io} when stdout
  // cannot take it.
  void write(std::string_view text);
  void write_err(std::string_view text);
  // Writes out what is buffered (stdout that is no terminal). Throws Error{io}.
  void flush();
  // Begins a new row when the last output did not end with a line break.
  void ensure_line_start();

  // Shows the typed line; `hide` are the bytes that erase `frame` again (see LineEditor). Replaces
  // the shown one.
  void show_line(std::string frame, std::string hide);
  // The terminal has reflowed the shown line.
  void line_reflowed(std::string hide);
  // Takes the typed line away; `last` is written in its place.
  void hide_line(std::string_view last = {});
  // Empties the screen and draws the line at its top.
  void clear_screen();

  // One row above the typed line, for jobs; empty removes it. Seen only while a line is edited.
  void set_status(std::string text);
  // The one live progress row of foreground work, on a stderr that is a terminal; empty removes it.
  void set_progress(std::string text);

 private:
  void emit(bool to_err, std::string_view text);
  void emit_above(std::string_view text);
  void emit_with_progress(bool to_err, std::string_view text);
  void write_now(int fd, std::string_view bytes);
  void flush_locked();
  void draw_line(std::string& out);
  void erase_line(std::string& out) const;
  void track(std::string_view text);

  using Clock = std::chrono::steady_clock;

  const int out_fd_, err_fd_;
  const bool out_tty_, err_tty_;
  bool colors_;
  mutable std::mutex mutex_;
  std::string buffer_;  // stdout that is no terminal
  Clock::time_point flushed_{};
  bool line_shown_ = false;
  std::string frame_, hide_, status_;
  int status_columns_ = 0;  // cells of the drawn status row
  std::string progress_;
  bool progress_drawn_ = false;
  Clock::time_point progress_time_{};
  std::string partial_;  // the unfinished last row of output on the terminal
};

// The console of the process.
Console& console();

}  // namespace lm
