// One block of AdamW with 8-bit states. Free of libtorch, so that its numbers can be tested alone.
#pragma once

#include <cmath>
#include <cstdint>

#include "engine/quant/blockwise8.h"

namespace lm::train {

struct Adamw8Args {
  float beta1 = 0.9f, beta2 = 0.999f;
  float keep1 = 0.1f, keep2 = 0.001f;  // 1 - beta, rounded once
  float epsilon = 1e-8f, grad_scale = 1;
  float keep = 1;        // 1 - lr * weight_decay
  float step = 0;        // -lr / (1 - beta1^t)
  float root_bias2 = 1;  // sqrt(1 - beta2^t)
};

// Codes and scale of one state.
struct State8 {
  uint8_t* codes;
  float* scale;
};

// n <= 256 numbers: states to f32, AdamW's step (arXiv:1711.05101), states back to 8 bits.
inline void adamw8_block(const Adamw8Args& a, float* value, const float* grad, State8 m, State8 v,
                         int64_t n) {
  float mean[kBlock8], square[kBlock8];
  dequantize_block8(true, m.codes, *m.scale, n, mean);
  dequantize_block8(false, v.codes, *v.scale, n, square);
  for (int64_t i = 0; i < n; ++i) {
    const float g = grad[i] * a.grad_scale;
    mean[i] = std::fma(g, a.keep1, mean[i] * a.beta1);
    square[i] = std::fma(a.keep2 * g, g, square[i] * a.beta2);
    const float divisor = std::sqrt(square[i]) / a.root_bias2 + a.epsilon;
    value[i] = value[i] * a.keep + a.step * mean[i] / divisor;
  }
  *m.scale = quantize_block8(true, mean, n, m.codes);
  *v.scale = quantize_block8(false, square, n, v.codes);
}

}  // namespace lm::train
