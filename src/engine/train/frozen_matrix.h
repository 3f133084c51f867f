// A weight that training reads only, kept in 4 or 8 bits (QLoRA: Dettmers et al. 2023,
// arXiv:2305.14314).
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "engine/quant/nf4.h"

namespace lm::train {

enum class Quantize : uint8_t { none, nf4, int8 };

class FrozenMatrix {
 public:
  // w: [rows, cols], f32.
  FrozenMatrix(const at::Tensor& w, Quantize kind);
  // Writes the numbers into [rows, cols], f32 or bf16, whose rows may lie apart.
  void write(const at::Tensor& to) const;

 private:
  int64_t rows_, cols_;
  at::Tensor codes_;               // nf4: [(rows * cols + 1) / 2] u8; int8: [rows, cols]
  Nf4Scales scales_;               // nf4
  std::vector<float> magnitudes_;  // int8: [rows]; empty for nf4
};

}  // namespace lm::train
