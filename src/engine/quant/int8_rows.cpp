#include "engine/quant/int8_rows.h"

#include <algorithm>
#include <cmath>

#include "engine/core/half.h"

namespace lm {
namespace {

// 1 / 127, the constant bitsandbytes multiplies by after the magnitude.
constexpr float kStep = 7.874015718698502e-3f;

}  // namespace

float int8_quantize_row(const float* values, int64_t n, int8_t* codes) {
  float magnitude = 0;
  for (int64_t i = 0; i < n; ++i) magnitude = std::max(magnitude, std::fabs(values[i]));
  // Not 127 / magnitude: torch divides a number by a tensor so, and ties turn on the last bit.
  const float factor = magnitude > 0 ? 1.0f / magnitude * 127.0f : 0.0f;
  for (int64_t i = 0; i < n; ++i)
    codes[i] = static_cast<int8_t>(std::nearbyint(values[i] * factor));
  return magnitude;
}

void int8_dequantize_row(const int8_t* codes, float magnitude, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(codes[i]) * magnitude * kStep;
}

void int8_dequantize_row(const int8_t* codes, float magnitude, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = float_to_bf16(static_cast<float>(codes[i]) * magnitude * kStep);
}

}  // namespace lm
