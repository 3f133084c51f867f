// Encoders of the block-quantized types: dtype_info().block finite floats become one block of
// dtype_info().block_bytes bytes, the very bytes that ggml's reference quantisers give without an
// importance matrix (ggml-quants.c, quantize_row_*_ref). Every sum, product and rounding therefore
// keeps the reference's order, in single precision, never fused (-ffp-contract=off in
// scripts/cmake/engine.cmake). The block is written whole; no alignment is needed.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "engine/core/dtype.h"
#include "engine/core/half.h"

namespace lm {

#define LM_ENCODE_TYPE(type) void encode_##type(const float* x, uint8_t* block);
#include "engine/quant/encode/encode_list.inc"
#undef LM_ENCODE_TYPE

// The encoder of a block type; nullptr when there is none.
using BlockEncoder = void (*)(const float* x, uint8_t* block);
BlockEncoder block_encoder(DType type);

// Groups whose largest magnitude is below this count as all zero.
inline constexpr float kAllZero = 1e-15f;

inline void put_f16(uint8_t* p, float value) {
  const uint16_t h = float_to_half(value);
  std::memcpy(p, &h, 2);
}

// To the nearest integer, ties to even, for |x| < 2^22: adding 1.5 * 2^23 leaves it in the low
// bits.
inline int nearest_int(float x) {
  const auto bits = std::bit_cast<int32_t>(x + 12582912.0f);
  return (bits & 0x007fffff) - 0x00400000;
}
inline int nearest_int(float x, int low, int high) {
  return std::clamp(nearest_int(x), low, high);
}

// The element of largest magnitude, the first of equals, with its sign.
inline float largest_magnitude(const float* x, int n) {
  float largest = 0.0f;
  for (int i = 0; i < n; ++i)
    if (std::fabs(x[i]) > std::fabs(largest)) largest = x[i];
  return largest;
}

}  // namespace lm
