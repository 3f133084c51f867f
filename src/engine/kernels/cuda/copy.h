#pragma once

#include <cstdint>

namespace lm {

// Starts a copy of `bytes` (a multiple of 16) from device memory to device memory on the default
// stream.
void launch_copy(const void* in, void* out, int64_t bytes);

}  // namespace lm
