// Cancellation: long work polls check_interrupt() at step boundaries. Ctrl-C sets the process flag;
// a job's thread polls the flag of its own job as well. Polling is one or two relaxed loads.
#pragma once

#include <atomic>

namespace lm {

// Number of Ctrl-C presses since the top level cleared it. The signal handler only increments it.
extern std::atomic<int> g_interrupt_count;

// Binds a job's stop flag to the calling thread while it lives.
class CancelScope {
 public:
  explicit CancelScope(const std::atomic<bool>* stop);
  ~CancelScope();
  CancelScope(const CancelScope&) = delete;
  CancelScope& operator=(const CancelScope&) = delete;

 private:
  const std::atomic<bool>* previous_;
};

// True when the calling thread's work should end: its job was stopped, or (threads without a job)
// Ctrl-C was pressed.
bool interrupt_pending();
// Throws Error{interrupted} when interrupt_pending().
void check_interrupt();

}  // namespace lm
