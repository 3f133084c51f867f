// LMFAST_PROFILE=1: where the time of forward passes goes, printed to stderr when the process ends.
// Times are those of the region's first thread, waiting for the others included. Off, a scope costs
// one load.
#pragma once

#include <chrono>
#include <cstdint>

#include "engine/core/thread_pool.h"

namespace lm {

class ProfileScope {
 public:
  // what: a name of static life; detail: of static life, or empty. bytes: read from memory at
  // least.
  ProfileScope(const Region& region, const char* what, const char* detail = "", int64_t bytes = 0)
      : what_(enabled() && region.thread() == 0 ? what : nullptr), detail_(detail), bytes_(bytes) {
    if (what_ != nullptr) start_ = std::chrono::steady_clock::now();
  }
  ~ProfileScope() {
    if (what_ != nullptr) finish();
  }
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

  static bool enabled();

 private:
  void finish();

  const char *what_, *detail_;
  int64_t bytes_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace lm
