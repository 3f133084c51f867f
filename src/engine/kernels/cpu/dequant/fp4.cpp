// E2M1 codes under power-of-two (mxfp4, OCP Microscaling) or E4M3 (nvfp4) scales.
#include "engine/kernels/cpu/dequant/blocks.h"

namespace lm {

float ue4m3_half(uint8_t x) {
  if (x == 0 || x == 0x7f) return 0.0f;
  const int exponent = (x >> 3) & 15, mantissa = x & 7;
  const float value = exponent == 0 ? static_cast<float>(mantissa) * 0x1p-9f
                                    : (1.0f + static_cast<float>(mantissa) / 8.0f) *
                                          std::bit_cast<float>((exponent + 120u) << 23);
  return value * 0.5f;
}

void decode_mxfp4(const uint8_t* b, float* out) {
  const float d = e8m0_half(b[0]);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(kE2m1Doubled[nibble32(b + 1, i)]);
}

// Four sub-blocks of 16: 4 scale bytes, then 8 bytes of nibbles each (low: elements 0..7,
// high: 8..15).
void decode_nvfp4(const uint8_t* b, float* out) {
  for (int s = 0; s < 4; ++s) {
    const float d = ue4m3_half(b[s]);
    const uint8_t* q = b + 4 + s * 8;
    for (int i = 0; i < 8; ++i) {
      out[s * 16 + i] = d * static_cast<float>(kE2m1Doubled[q[i] & 15]);
      out[s * 16 + 8 + i] = d * static_cast<float>(kE2m1Doubled[q[i] >> 4]);
    }
  }
}

}  // namespace lm
