#include "engine/quant/blockwise8.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace lm {
namespace {

// torch.linspace(0.1, 1, n) in f32: from both ends towards the middle.
float between(int i, int n) {
  const float step = (1.0f - 0.1f) / static_cast<float>(n - 1);
  return i < n / 2 ? std::fma(step, static_cast<float>(i), 0.1f)
                   : std::fma(-step, static_cast<float>(n - i - 1), 1.0f);
}

// Seven decades; each has twice as many fractions as the one below it.
DynamicMap make_map(bool is_signed) {
  constexpr int kDecades = 7;
  std::vector<float> values = {0.0f, 1.0f};
  for (int decade = 0; decade < kDecades; ++decade) {
    const int n = (is_signed ? 1 << decade : 2 << decade) + 1;
    const auto power = static_cast<float>(std::pow(10.0, decade - (kDecades - 1)));
    for (int i = 0; i + 1 < n; ++i) {
      const float middle = (between(i, n) + between(i + 1, n)) / 2.0f;
      values.push_back(power * middle);
      if (is_signed) values.push_back(-power * middle);
    }
  }
  std::sort(values.begin(), values.end());
  DynamicMap map{};
  std::copy_n(values.begin(), map.size(), map.begin());
  return map;
}

struct Tables {
  DynamicMap values;
  std::array<float, 255> bounds;  // halfway between neighbours
  explicit Tables(bool is_signed) : values(make_map(is_signed)), bounds{} {
    for (size_t i = 0; i < bounds.size(); ++i) bounds[i] = (values[i] + values[i + 1]) / 2;
  }
};

const Tables& tables(bool is_signed) {
  static const Tables with_sign(true), without(false);
  return is_signed ? with_sign : without;
}

}  // namespace

const DynamicMap& dynamic_map(bool is_signed) {
  return tables(is_signed).values;
}

uint8_t dynamic_map_zero(bool is_signed) {
  const DynamicMap& map = dynamic_map(is_signed);
  return static_cast<uint8_t>(std::lower_bound(map.begin(), map.end(), 0.0f) - map.begin());
}

float quantize_block8(bool is_signed, const float* values, int64_t n, uint8_t* codes) {
  const auto& bounds = tables(is_signed).bounds;
  float scale = 0;
  for (int64_t i = 0; i < n; ++i) scale = std::max(scale, std::fabs(values[i]));
  const float divisor = std::max(scale, 1e-38f), factor = 1.0f / divisor;
  for (int64_t i = 0; i < n; ++i) {
    // A last block that is not full is divided, others are multiplied: as there.
    const float x =
        std::clamp(n == kBlock8 ? values[i] * factor : values[i] / divisor, -1.0f, 1.0f);
    codes[i] =
        static_cast<uint8_t>(std::lower_bound(bounds.begin(), bounds.end(), x) - bounds.begin());
  }
  return n == kBlock8 ? scale : divisor;
}

void dequantize_block8(bool is_signed, const uint8_t* codes, float scale, int64_t n,
                       float* values) {
  const DynamicMap& map = dynamic_map(is_signed);
  for (int64_t i = 0; i < n; ++i) values[i] = map[codes[i]] * scale;
}

}  // namespace lm
