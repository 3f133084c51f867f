// Memory for libtorch's tensors that is kept between steps: the system's allocator gives large
// blocks back at once, and the kernel fills them with zeros again for the next step, page by page
// (a tenth of a bf16 step; far more where several processes do it).
#pragma once

#include <cstdint>

namespace lm::train {

// Makes it libtorch's allocator for the CPU; once is enough.
void install_caching_allocator();

struct AllocatorStats {
  int64_t live = 0, peak = 0;  // bytes in tensors now, and most since reset_allocator_peak()
  int64_t cached = 0;          // bytes kept for later
};
AllocatorStats allocator_stats();
void reset_allocator_peak();
// Gives what is cached back to the system.
void release_cached_memory();

}  // namespace lm::train
