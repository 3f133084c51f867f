// What the scheduler of a model has done so far.
#pragma once

#include <cstdint>

namespace lm {

class Model;

struct SchedulerStats {
  int64_t steps = 0;                 // forward passes
  int64_t tokens = 0;                // evaluated in them
  int64_t reused_tokens = 0;         // taken from the prefix cache instead
  int64_t preemptions = 0;           // tasks that had to give their memory to others
  int64_t running = 0, waiting = 0;  // tasks at the moment: with and without tokens in the cache
  int64_t n_pages = 0, used_pages = 0, cached_pages = 0;  // of keys and values
  int64_t page_tokens = 0, page_bytes = 0;                // that a page holds
};

SchedulerStats scheduler_stats(const Model& model);

}  // namespace lm
