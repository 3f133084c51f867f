// The terminal's modes. Raw only while a line is edited; put back on every way out of the process,
// crashes included.
#pragma once

namespace lm {

struct ScreenSize {
  int columns, rows;
};

// Remembers the modes of the terminal on stdin and sees to their return at exit and on fatal
// signals. Call once, early.
void terminal_setup();

// Switches to raw input with bracketed paste / back to the remembered modes. Both may be called
// twice. Output processing stays on: "\n" still begins a new line at its start.
void terminal_enter_raw();
void terminal_leave_raw();
bool terminal_is_raw();
// In raw mode: whether Ctrl-C is a signal instead of a byte.
void terminal_allow_interrupt(bool allow);

// Puts the terminal back from any context; async-signal-safe.
void terminal_restore() noexcept;

// Stops the process like Ctrl-Z does, in normal mode; raw mode is back when it goes on.
void terminal_suspend();

// The size of the terminal on `fd`; COLUMNS / LINES or 80 x 24 when it is none.
ScreenSize terminal_size(int fd);

// True when TERM says that cursor movement does not work, or says nothing.
bool terminal_is_dumb();

// While it lives, child processes see the terminal in its normal state.
class CookedScope {
 public:
  CookedScope() : was_raw_(terminal_is_raw()) { terminal_leave_raw(); }
  ~CookedScope() {
    if (was_raw_) terminal_enter_raw();
  }
  CookedScope(const CookedScope&) = delete;
  CookedScope& operator=(const CookedScope&) = delete;

 private:
  bool was_raw_;
};

}  // namespace lm
