// Threads whose sockets are closed when the calling thread is interrupted, or when one of them
// fails.
#pragma once

#include <functional>
#include <vector>

#include "engine/core/socket_guard.h"

namespace lm {

// Runs all of `work` on threads of their own and waits. `tick` runs on the calling thread about ten
// times a second and may throw. Throws the first error of `work`, or of `tick`, or interrupted,
// after all threads have ended.
void run_watched(SocketGuard& guard, const std::vector<std::function<void()>>& work,
                 const std::function<void()>& tick = {});

}  // namespace lm
