#include "engine/core/interrupt.h"

#include "engine/core/error.h"

namespace lm {

std::atomic<int> g_interrupt_count{0};

namespace {
thread_local const std::atomic<bool>* t_stop = nullptr;
}

CancelScope::CancelScope(const std::atomic<bool>* stop) : previous_(t_stop) {
  t_stop = stop;
}
CancelScope::~CancelScope() {
  t_stop = previous_;
}

bool interrupt_pending() {
  if (t_stop) return t_stop->load(std::memory_order_relaxed);
  return g_interrupt_count.load(std::memory_order_relaxed) > 0;
}

void check_interrupt() {
  if (interrupt_pending()) throw Error(ErrorCode::interrupted, "interrupted");
}

}  // namespace lm
