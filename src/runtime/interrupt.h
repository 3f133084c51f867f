// Signals of the process: Ctrl-C, requests to end, changes of the window size. Handlers run on the
// main thread only, because every other thread is started by spawn_thread().
#pragma once

#include <functional>
#include <thread>

namespace lm {

// Installs the handlers. `wake` (async-signal-safe) is called after each signal so that a poll()
// ends.
void install_signal_handlers(void (*wake)());

// After how many unanswered presses of Ctrl-C the process ends at once: 3 at the prompt, 2 for a
// script, whose compiled loops may not notice the first.
void set_force_quit(int presses);

// What a Ctrl-C does beyond counting, e.g. arming the Lua hook; async-signal-safe. Null: nothing.
void set_interrupt_action(void (*arm)());

// Forgets pending Ctrl-C presses (lm::g_interrupt_count) and calls `disarm` of
// set_interrupt_disarm. Only the top level calls this, or an operation that answers a Ctrl-C by
// itself, e.g. training that wrote its checkpoint.
void clear_interrupt();
void set_interrupt_disarm(void (*disarm)());

// SIGTERM or SIGHUP came: leave gracefully. The exit code (128 + signal), or 0.
int terminate_requested();

// True once after each change of the window size (or return from a stop).
bool take_window_changed();

// Starts a thread that never runs our signal handlers.
std::thread spawn_thread(std::function<void()> body);

}  // namespace lm
