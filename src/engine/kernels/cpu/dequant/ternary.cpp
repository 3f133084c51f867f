// One and two bits per weight: tq1_0, tq2_0 (d * {-1, 0, 1}), q1_0 (d * {-1, 1}), q2_0 (d * {-1, 0,
// 1, 2}).
#include "engine/kernels/cpu/dequant/blocks.h"

namespace lm {
namespace {

// A byte holds five base-3 digits as a fraction: multiplying by 3^n modulo 256 drops the first n,
// the next digit is then the integer part of three times what remains.
float trit(uint8_t byte, int n) {
  static constexpr uint8_t kPowers[5] = {1, 3, 9, 27, 81};
  const auto rest = static_cast<uint8_t>(byte * kPowers[n]);
  return static_cast<float>((rest * 3 >> 8) - 1);
}

}  // namespace

// 32 bytes of 5 digits (element 32n + i is digit n of byte i), 16 bytes likewise, 4 bytes of 4
// digits, f16 d.
void decode_tq1_0(const uint8_t* b, float* out) {
  const float d = f16_at(b + 52);
  for (int n = 0; n < 5; ++n)
    for (int i = 0; i < 32; ++i) *out++ = trit(b[i], n) * d;
  for (int n = 0; n < 5; ++n)
    for (int i = 0; i < 16; ++i) *out++ = trit(b[32 + i], n) * d;
  for (int n = 0; n < 4; ++n)
    for (int i = 0; i < 4; ++i) *out++ = trit(b[48 + i], n) * d;
}

void decode_tq2_0(const uint8_t* b, float* out) {
  const float d = f16_at(b + 64);
  for (int half = 0; half < 2; ++half)
    for (int n = 0; n < 4; ++n)
      for (int i = 0; i < 32; ++i)
        *out++ = static_cast<float>(((b[half * 32 + i] >> (2 * n)) & 3) - 1) * d;
}

void decode_q1_0(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int i = 0; i < 128; ++i) out[i] = (b[2 + i / 8] >> (i % 8)) & 1 ? d : -d;
}

void decode_q2_0(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int i = 0; i < 64; ++i)
    out[i] = static_cast<float>(((b[2 + i / 4] >> (i % 4 * 2)) & 3) - 1) * d;
}

}  // namespace lm
