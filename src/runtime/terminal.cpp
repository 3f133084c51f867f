#include "runtime/terminal.h"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace lm {
namespace {

// Plain globals: signal handlers read them.
termios g_normal{};
termios g_raw{};
volatile sig_atomic_t g_have_terminal = 0;
volatile sig_atomic_t g_is_raw = 0;

constexpr std::string_view kPasteOn = "\x1b[?2004h", kPasteOff = "\x1b[?2004l\x1b[?25h";

constexpr std::array<int, 5> kFatal = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
std::array<struct sigaction, kFatal.size()> g_previous{};

void write_raw(std::string_view bytes) {
  // Nothing sensible can be done about a terminal that takes no bytes.
  [[maybe_unused]] const ssize_t n = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
}

// Restores the terminal, then lets whoever handled the signal before us (the default action, a
// sanitizer) have it: the faulting instruction runs again.
void on_fatal(int signal) {
  terminal_restore();
  for (size_t i = 0; i < kFatal.size(); ++i)
    if (kFatal[i] == signal) ::sigaction(signal, &g_previous[i], nullptr);
  if (signal == SIGABRT) ::raise(signal);
}

void on_stop(int) {
  const bool raw = g_is_raw != 0;
  terminal_restore();
  ::kill(::getpid(), SIGSTOP);
  if (raw) {
    ::tcsetattr(STDIN_FILENO, TCSANOW, &g_raw);
    write_raw(kPasteOn);
    g_is_raw = 1;
    ::raise(SIGWINCH);  // the owner repaints
  }
}

int positive_env(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  const int value = text ? std::atoi(text) : 0;
  return value > 0 ? value : otherwise;
}

}  // namespace

void terminal_setup() {
  if (::tcgetattr(STDIN_FILENO, &g_normal) != 0) return;
  g_raw = g_normal;
  g_raw.c_iflag &= ~static_cast<tcflag_t>(BRKINT | ICRNL | INLCR | IGNCR | ISTRIP | IXON);
  g_raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | IEXTEN | ISIG);
  g_raw.c_cc[VMIN] = 1;
  g_raw.c_cc[VTIME] = 0;
  g_have_terminal = 1;
  std::atexit([] { terminal_restore(); });
  struct sigaction action {};
  sigemptyset(&action.sa_mask);
  action.sa_handler = on_fatal;
  for (size_t i = 0; i < kFatal.size(); ++i) ::sigaction(kFatal[i], &action, &g_previous[i]);
  action.sa_handler = on_stop;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGTSTP, &action, nullptr);
}

void terminal_enter_raw() {
  if (!g_have_terminal || g_is_raw) return;
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &g_raw);
  write_raw(kPasteOn);
  g_is_raw = 1;
}

void terminal_leave_raw() {
  if (!g_is_raw) return;
  g_is_raw = 0;
  write_raw(kPasteOff);
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &g_normal);
}

void terminal_allow_interrupt(bool allow) {
  if (!g_is_raw) return;
  termios mode = g_raw;
  if (allow) mode.c_lflag |= ISIG;
  mode.c_lflag |= NOFLSH;  // keys typed before Ctrl-C stay
  ::tcsetattr(STDIN_FILENO, TCSANOW, &mode);
}

bool terminal_is_raw() {
  return g_is_raw != 0;
}

void terminal_restore() noexcept {
  if (!g_is_raw) return;
  g_is_raw = 0;
  ::tcsetattr(STDIN_FILENO, TCSANOW, &g_normal);
  write_raw(kPasteOff);
}

void terminal_suspend() {
  on_stop(SIGTSTP);
}

ScreenSize terminal_size(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0)
    return {size.ws_col, size.ws_row};
  return {positive_env("COLUMNS", 80), positive_env("LINES", 24)};
}

bool terminal_is_dumb() {
  const char* term = std::getenv("TERM");
  return !term || !*term || std::strcmp(term, "dumb") == 0;
}

}  // namespace lm
