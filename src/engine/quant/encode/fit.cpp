#include "engine/quant/encode/fit.h"

#include <algorithm>
#include <cmath>

#include "engine/quant/encode/encode.h"

namespace lm {
namespace {

// Weighted error of codes under a scale and an offset that is added.
float range_error(int n, const float* x, const float* weights, const uint8_t* codes, float scale,
                  float offset, bool absolute) {
  float error = 0.0f;
  for (int i = 0; i < n; ++i) {
    const float diff = scale * static_cast<float>(codes[i]) + offset - x[i];
    error += weights[i] * (absolute ? std::fabs(diff) : diff * diff);
  }
  return error;
}

void range_codes(int n, int top, const float* x, float inverse_scale, float offset,
                 uint8_t* codes) {
  for (int i = 0; i < n; ++i)
    codes[i] = static_cast<uint8_t>(nearest_int(inverse_scale * (x[i] - offset), 0, top));
}

}  // namespace

ScaleAndMin fit_range(int n, int top, const float* x, const float* weights, uint8_t* codes,
                      const RangeSearch& search) {
  float low = x[0], high = x[0], sum_w = weights[0], sum_x = weights[0] * x[0];
  for (int i = 1; i < n; ++i) {
    if (x[i] < low) low = x[i];
    if (x[i] > high) high = x[i];
    sum_w += weights[i];
    sum_x += weights[i] * x[i];
  }
  if (low > 0) low = 0;
  if (high == low) {
    std::fill_n(codes, n, uint8_t{0});
    return {0.0f, -low};
  }
  const auto top_f = static_cast<float>(top);
  const float inverse = top_f / (high - low);
  float scale = 1 / inverse;
  range_codes(n, top, x, inverse, low, codes);
  float best = range_error(n, x, weights, codes, scale, low, search.absolute_error);
  uint8_t candidate[32];
  for (int step = 0; step <= search.steps; ++step) {
    // The reference divides by the range of the best fit so far, not of the data.
    const float tried =
        (search.first + search.step * static_cast<float>(step) + top_f) / (high - low);
    range_codes(n, top, x, tried, low, candidate);
    float sum_l = 0, sum_l2 = 0, sum_xl = 0;
    for (int i = 0; i < n; ++i) {
      const float w = weights[i], l = candidate[i];
      sum_l += w * l;
      sum_l2 += w * l * l;
      sum_xl += w * l * x[i];
    }
    const float determinant = sum_w * sum_l2 - sum_l * sum_l;
    if (!(determinant > 0)) continue;
    float new_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
    float new_low = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
    if (new_low > 0) {
      new_low = 0;
      new_scale = sum_xl / sum_l2;
    }
    const float error =
        range_error(n, x, weights, candidate, new_scale, new_low, search.absolute_error);
    if (!(error < best)) continue;
    std::copy_n(candidate, n, codes);
    best = error;
    scale = new_scale;
    low = new_low;
  }
  return {scale, -low};
}

namespace {

struct Sums {
  float lx = 0, l2 = 0;  // weighted sums of code * x and code^2
};

// The sums for the codes under a scale; the weight of an element is its square.
Sums signed_sums(int n, int half, const float* x, float inverse_scale) {
  Sums s;
  for (int i = 0; i < n; ++i) {
    const auto l = static_cast<float>(nearest_int(inverse_scale * x[i], -half, half - 1));
    const float w = x[i] * x[i];
    s.lx += w * x[i] * l;
    s.l2 += w * l * l;
  }
  return s;
}

void signed_codes(int n, int half, const float* x, float inverse_scale, int8_t* codes) {
  for (int i = 0; i < n; ++i)
    codes[i] = static_cast<int8_t>(half + nearest_int(inverse_scale * x[i], -half, half - 1));
}

}  // namespace

float fit_signed(int n, int half, const float* x, int8_t* codes) {
  const float largest = largest_magnitude(x, n);
  if (std::fabs(largest) < kAllZero) {
    std::fill_n(codes, n, int8_t{0});
    return 0.0f;
  }
  float inverse = static_cast<float>(-half) / largest;
  signed_codes(n, half, x, inverse, codes);
  Sums s = signed_sums(n, half, x, inverse);
  float scale = s.l2 != 0.0f ? s.lx / s.l2 : 0.0f, best = scale * s.lx;
  for (int step = -9; step <= 9; ++step) {
    if (step == 0) continue;
    inverse = -(static_cast<float>(half) + 0.1f * static_cast<float>(step)) / largest;
    s = signed_sums(n, half, x, inverse);
    if (!(s.l2 > 0 && s.lx * s.lx > best * s.l2)) continue;
    signed_codes(n, half, x, inverse, codes);
    scale = s.lx / s.l2;
    best = scale * s.lx;
  }
  return scale;
}

float fit_signed_by_rounds(int n, int half, const float* x, int8_t* codes) {
  const float largest = largest_magnitude(x, n);
  if (std::fabs(largest) < kAllZero) {
    std::fill_n(codes, n, int8_t{0});
    return 0.0f;
  }
  const float inverse = static_cast<float>(-half) / largest;
  for (int i = 0; i < n; ++i)
    codes[i] = static_cast<int8_t>(nearest_int(inverse * x[i], -half, half - 1));
  Sums s = signed_sums(n, half, x, inverse);
  for (int round = 0; round < 5; ++round) {
    bool changed = false;
    for (int i = 0; i < n; ++i) {
      const float w = x[i] * x[i], l = codes[i];
      Sums without{s.lx - w * x[i] * l, 0};
      if (!(without.lx > 0)) continue;
      without.l2 = s.l2 - w * l * l;
      const int code = nearest_int(x[i] * without.l2 / without.lx, -half, half - 1);
      if (code == codes[i]) continue;
      const auto k = static_cast<float>(code);
      const Sums with{without.lx + w * x[i] * k, without.l2 + w * k * k};
      if (!(with.l2 > 0 && with.lx * with.lx * s.l2 > s.lx * s.lx * with.l2)) continue;
      codes[i] = static_cast<int8_t>(code);
      s = with;
      changed = true;
    }
    if (!changed) break;
  }
  for (int i = 0; i < n; ++i) codes[i] = static_cast<int8_t>(codes[i] + half);
  return s.l2 > 0.0f ? s.lx / s.l2 : 0.0f;
}

}  // namespace lm
