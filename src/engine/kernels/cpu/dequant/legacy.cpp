// Blocks of 32 with one f16 scale: q4_0, q5_0, q8_0 (x = d * q), q4_1, q5_1 (x = d * q + m), q8_1.
#include "engine/kernels/cpu/dequant/blocks.h"

namespace lm {

void decode_q4_0(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(nibble32(b + 2, i) - 8);
}

void decode_q4_1(const uint8_t* b, float* out) {
  const float d = f16_at(b), m = f16_at(b + 2);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(nibble32(b + 4, i)) + m;
}

namespace {

// The fifth bit of code i is bit i of a 32-bit word.
int code5(const uint8_t* nibbles, uint32_t high, int i) {
  return nibble32(nibbles, i) | static_cast<int>((high >> i) & 1u) << 4;
}

}  // namespace

void decode_q5_0(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  const uint32_t high = u32_at(b + 2);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(code5(b + 6, high, i) - 16);
}

void decode_q5_1(const uint8_t* b, float* out) {
  const float d = f16_at(b), m = f16_at(b + 2);
  const uint32_t high = u32_at(b + 4);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(code5(b + 8, high, i)) + m;
}

void decode_q8_0(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(b[2 + i]));
}

// The second f16 is d times the sum of the codes, for dot products; the values do not need it.
void decode_q8_1(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(b[4 + i]));
}

}  // namespace lm
