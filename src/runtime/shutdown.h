// The order in which the process ends: jobs, servers, the queue into Lua, the Lua state, then the
// engine.
#pragma once

#include <functional>

namespace lm {

enum class ShutdownStage : unsigned char { jobs, servers };

// Registers work for the end of the process; within a stage the latest comes first. Each piece
// should end within 2 s.
void on_shutdown(ShutdownStage stage, std::function<void()> work);

// Runs the stages once and closes the main loop. Later calls do nothing.
void shut_down();

// Asks the shell to leave after the current input / the first such request's exit code, or -1.
void request_quit(int code);
int quit_requested();

// Says that threads of ours still run and cannot be waited for: the process must end without
// destructors.
void abandon_threads();
bool threads_abandoned();

// Ends the process now from the main thread, in order but without closing the Lua state that is
// still running.
[[noreturn]] void end_process(int code);

}  // namespace lm
