// The non-linear 4-bit types: the scale that gives the least squared error among 15 candidates,
// codes by nearest level.
#include <array>

#include "engine/kernels/cpu/dequant/blocks.h"
#include "engine/quant/encode/encode.h"

namespace lm {
namespace {

// Twice the midpoints between neighbouring levels: whole numbers, so comparing is exact.
constexpr auto kMidpoints = [] {
  std::array<float, 16> twice{};
  for (size_t i = 0; i + 1 < 16; ++i)
    twice[i] = static_cast<float>(kIq4Levels[i] + kIq4Levels[i + 1]);
  return twice;
}();

// The level nearest to x; the upper one at a midpoint. A binary search without branches.
int nearest_level(float x) {
  const float x2 = x + x;
  size_t code = 0;
  for (const size_t step : {8, 4, 2, 1})
    code = x2 >= kMidpoints[code + step - 1] ? code + step : code;
  return static_cast<int>(code);
}

struct Sums {
  float qx = 0, q2 = 0;
};

// Sums of level * x and level^2, weighted by x^2.
Sums level_sums(const float* x, float inverse_scale) {
  Sums s;
  for (int i = 0; i < 32; ++i) {
    const float q = kIq4Levels[nearest_level(inverse_scale * x[i])], w = x[i] * x[i];
    s.qx += w * q * x[i];
    s.q2 += w * q * q;
  }
  return s;
}

float fit_scale(const float* x) {
  const float largest = largest_magnitude(x, 32);
  if (std::fabs(largest) < kAllZero) return 0.0f;
  constexpr int kTries = 7;
  const float lowest = kIq4Levels[0];
  float d = -largest / lowest;
  Sums s = level_sums(x, 1 / d);
  d = s.q2 > 0 ? s.qx / s.q2 : 0.0f;
  float best = d * s.qx;
  for (int i = -kTries; i <= kTries; ++i) {
    s = level_sums(x, (static_cast<float>(i) + lowest) / largest);
    if (!(s.q2 > 0 && s.qx * s.qx > best * s.q2)) continue;
    d = s.qx / s.q2;
    best = d * s.qx;
  }
  return d;
}

void put_codes(const float* x, float scale, uint8_t* out) {
  const float inverse = scale != 0.0f ? 1 / scale : 0.0f;
  for (int i = 0; i < 16; ++i)
    out[i] = static_cast<uint8_t>(nearest_level(inverse * x[i]) | nearest_level(inverse * x[i + 16])
                                                                      << 4);
}

}  // namespace

void encode_iq4_nl(const float* x, uint8_t* b) {
  const float d = fit_scale(x);
  put_f16(b, d);
  put_codes(x, d, b + 2);
}

void encode_iq4_xs(const float* x, uint8_t* b) {
  float scales[8];
  for (int j = 0; j < 8; ++j) scales[j] = fit_scale(x + 32 * j);
  const float d = -largest_magnitude(scales, 8) / 32, inverse = d != 0.0f ? 1 / d : 0.0f;
  put_f16(b, d);
  std::memset(b + 2, 0, 6);
  uint16_t high = 0;
  for (int j = 0; j < 8; ++j) {
    const int l = nearest_int(inverse * scales[j], -32, 31);
    put_codes(x + 32 * j, d * static_cast<float>(l), b + 8 + 16 * j);
    b[4 + j / 2] = static_cast<uint8_t>(b[4 + j / 2] | ((l + 32) & 15) << (j % 2 * 4));
    high = static_cast<uint16_t>(high | (l + 32) >> 4 << (2 * j));
  }
  std::memcpy(b + 2, &high, 2);
}

}  // namespace lm
