// Decoders of the block-quantized types, one function each, and what they share. A decoder is given
// one whole block (dtype_info().block_bytes bytes, little-endian, no alignment) and writes
// dtype_info().block floats, bit for bit those of ggml: products and sums keep its order and are
// never fused (-ffp-contract=off in scripts/cmake/engine.cmake). Source: ggml-common.h (layouts),
// ggml-quants.c (values).
#pragma once

#include <cstdint>
#include <cstring>

#include "engine/core/dtype.h"
#include "engine/core/half.h"

namespace lm {

#define LM_BLOCK_TYPE(type) void decode_##type(const uint8_t* block, float* out);
#include "engine/kernels/cpu/dequant/block_list.inc"
#undef LM_BLOCK_TYPE

// The decoder of a block type; nullptr for plain numbers.
using BlockDecoder = void (*)(const uint8_t* block, float* out);
BlockDecoder block_decoder(DType type);

inline uint16_t u16_at(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, 2);
  return v;
}
inline uint32_t u32_at(const uint8_t* p) {
  uint32_t v;
  std::memcpy(&v, p, 4);
  return v;
}
inline float f16_at(const uint8_t* p) {
  return half_to_float(u16_at(p));
}

// Code i of 32 stored as 16 bytes: low nibbles are codes 0..15, high nibbles 16..31.
inline int nibble32(const uint8_t* p, int i) {
  return i < 16 ? p[i] & 15 : p[i - 16] >> 4;
}

// The 16 levels of the non-linear 4-bit types (iq4_nl, iq4_xs).
inline constexpr int8_t kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};
// E2M1 values times two (mxfp4, nvfp4; the decoders' scales are halved to match).
inline constexpr int8_t kE2m1Doubled[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                            0, -1, -2, -3, -4, -6, -8, -12};

// Half of the power of two that an E8M0 byte stands for: 2^(e - 128), subnormal floats included.
inline float e8m0_half(uint8_t e) {
  const uint32_t bits = e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23;
  return std::bit_cast<float>(bits);
}
// Half of the value of an unsigned E4M3 byte (bias 7); 0x7f, a NaN by the format, counts as zero.
float ue4m3_half(uint8_t x);

// Scale and minimum j of 8, 6 bits each, in the 12 bytes that q4_k and q5_k share.
struct ScaleMin {
  uint8_t scale, min;
};
inline ScaleMin scale_min_k4(const uint8_t* p, int j) {
  if (j < 4) return {static_cast<uint8_t>(p[j] & 63), static_cast<uint8_t>(p[j + 4] & 63)};
  return {static_cast<uint8_t>((p[j + 4] & 15) | (p[j - 4] >> 6 << 4)),
          static_cast<uint8_t>((p[j + 4] >> 4) | (p[j] >> 6 << 4))};
}
// Scale j of 16, 0..63 (minus 32 is meant), in the 12 bytes of q3_k.
inline int scale_q3k(const uint8_t* p, int j) {
  const int low = j < 8 ? p[j] & 15 : p[j - 8] >> 4;
  return low | ((p[8 + j % 4] >> (2 * (j / 4))) & 3) << 4;
}

}  // namespace lm
