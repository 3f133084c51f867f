// E2M1 codes: the nearest value, the first of equals, under a power of two (mxfp4) or an E4M3 scale
// per 16 (nvfp4).
#include "engine/kernels/cpu/dequant/blocks.h"
#include "engine/quant/encode/encode.h"

namespace lm {
namespace {

int nearest_e2m1(float x, float scale) {
  int best = 0;
  float best_error = std::fabs(static_cast<float>(kE2m1Doubled[0]) * scale - x);
  for (int i = 1; i < 16; ++i) {
    const float error = std::fabs(static_cast<float>(kE2m1Doubled[i]) * scale - x);
    if (error < best_error) {
      best = i;
      best_error = error;
    }
  }
  return best;
}

// Codes of n elements; the second half goes to the high nibbles.
void put_codes(const float* x, int n, float scale, uint8_t* out) {
  for (int i = 0; i < n / 2; ++i)
    out[i] =
        static_cast<uint8_t>(nearest_e2m1(x[i], scale) | nearest_e2m1(x[i + n / 2], scale) << 4);
}

// To unsigned E4M3, half away from zero in the mantissa, at most 448.
uint8_t to_ue4m3(float x) {
  if (!(x > 0.0f)) return 0;
  x = std::min(x, 448.0f);
  const auto bits = std::bit_cast<uint32_t>(x);
  int exponent = static_cast<int>(bits >> 23) - 127 + 7;
  if (exponent <= 0)  // subnormal
    return static_cast<uint8_t>(std::min(7, static_cast<int>(x * 512.0f + 0.5f)));
  if (exponent >= 15) return 0x7e;
  int mantissa = static_cast<int>((bits >> 20) & 7) + static_cast<int>((bits >> 19) & 1);
  if (mantissa > 7) {
    mantissa = 0;
    ++exponent;
  }
  return exponent >= 15 ? uint8_t{0x7e} : static_cast<uint8_t>(exponent << 3 | mantissa);
}

}  // namespace

void encode_mxfp4(const float* x, uint8_t* b) {
  const float largest = std::fabs(largest_magnitude(x, 32));
  b[0] = largest > 0.0f ? static_cast<uint8_t>(
                              std::max(0, static_cast<int>(std::floor(std::log2(largest))) + 125))
                        : uint8_t{0};
  put_codes(x, 32, e8m0_half(b[0]), b + 1);
}

void encode_nvfp4(const float* x, uint8_t* b) {
  for (int s = 0; s < 4; ++s) {
    b[s] = to_ue4m3(std::fabs(largest_magnitude(x + 16 * s, 16)) / 6.0f);
    put_codes(x + 16 * s, 16, ue4m3_half(b[s]), b + 4 + 8 * s);
  }
}

}  // namespace lm
