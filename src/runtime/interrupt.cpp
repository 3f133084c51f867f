#include "runtime/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <string_view>

#include "engine/core/interrupt.h"
#include "runtime/terminal.h"

namespace lm {
namespace {

constexpr unsigned kPatience = 1;  // seconds until we tell how to end a program that does not react
std::atomic<int> g_force_quit{3};
std::atomic<void (*)()> g_wake{nullptr}, g_arm{nullptr}, g_disarm{nullptr};
std::atomic<int> g_terminate{0};
std::atomic<bool> g_window_changed{false};
static_assert(std::atomic<void (*)()>::is_always_lock_free &&
              std::atomic<int>::is_always_lock_free);

void call(const std::atomic<void (*)()>& function) {
  if (auto* f = function.load(std::memory_order_relaxed)) f();
}

void interrupt() {
  const int presses = g_interrupt_count.fetch_add(1) + 1;
  if (presses >= g_force_quit.load(std::memory_order_relaxed)) {
    terminal_restore();
    ::_exit(130);
  }
  call(g_arm);
  ::alarm(kPatience);
}

// The interrupt was not answered: a long C call, or a compiled loop of a script.
void on_alarm(int) {
  const int saved = errno;
  const int left = g_force_quit.load(std::memory_order_relaxed) - g_interrupt_count.load();
  if (g_interrupt_count.load() > 0 && g_terminate.load() == 0 && ::isatty(STDERR_FILENO) != 0) {
    const std::string_view text = left > 1 ? "\nstill busy; Ctrl-C twice more ends lmfast at once\n"
                                           : "\nstill busy; Ctrl-C once more ends lmfast at once\n";
    [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
  }
  errno = saved;
}

void on_signal(int signal) {
  const int saved = errno;
  if (signal == SIGINT) {
    interrupt();
  } else if (signal == SIGWINCH) {
    g_window_changed.store(true);
  } else {
    // A second request does not wait for anything.
    if (g_terminate.exchange(128 + signal) != 0) {
      terminal_restore();
      ::_exit(128 + signal);
    }
    g_interrupt_count.fetch_add(1);
    call(g_arm);
  }
  call(g_wake);
  errno = saved;
}

}  // namespace

void install_signal_handlers(void (*wake)()) {
  g_wake.store(wake);
  struct sigaction action {};
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) sigaddset(&action.sa_mask, signal);
  action.sa_handler = on_signal;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGWINCH})
    ::sigaction(signal, &action, nullptr);
  action.sa_handler = on_alarm;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGALRM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of the write
}

void set_force_quit(int presses) {
  g_force_quit.store(presses);
}
void set_interrupt_action(void (*arm)()) {
  g_arm.store(arm);
}
void set_interrupt_disarm(void (*disarm)()) {
  g_disarm.store(disarm);
}

void clear_interrupt() {
  if (g_interrupt_count.exchange(0) > 0) ::alarm(0);
  call(g_disarm);
  // A press between the two lines must not be lost.
  if (g_interrupt_count.load() > 0) call(g_arm);
}

int terminate_requested() {
  return g_terminate.load();
}

bool take_window_changed() {
  return g_window_changed.exchange(false);
}

std::thread spawn_thread(std::function<void()> body) {
  sigset_t blocked, previous;
  sigemptyset(&blocked);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP, SIGALRM})
    sigaddset(&blocked, signal);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &previous);
  std::thread thread;
  try {
    thread = std::thread(std::move(body));
  } catch (const std::exception&) {
    ::pthread_sigmask(SIG_SETMASK, &previous, nullptr);
    throw;
  }
  ::pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  return thread;
}

}  // namespace lm
