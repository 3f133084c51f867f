// What Hugging Face keeps beside the weights and GGUF inside of them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/export/export_tensor.h"
#include "engine/models/arch.h"

namespace lm {

// Rows [begin, begin + n) of a tensor times a factor; n -1: all of them. Elements, for vectors.
struct RowScale {
  int64_t begin = 0, n = -1;
  float factor = 1.0f;
};

struct Folded {
  std::map<std::string, std::vector<RowScale>> scales;  // by tensor
  // A tied embedding has a factor of its own as output: it becomes two tensors.
  bool untied = false;
};

// Takes out of `spec` what files of `arch` have no key for, and says what the tensors must become
// instead, so that the same model is described:
// - constant factors, where the architecture has them in its weights (Falcon-H1);
// - the epsilon of norms without weights (Falcon-Mamba), which is the model's own in GGUF: with
//   inputs k times as large and epsilon k^2 times as large the norm is the same;
// - the head of encoder-decoder models: readers of GGUF scale one that is tied (T5), so one that is
//   tied and not scaled (Flan-T5) becomes a tensor of its own;
// - rows of the position table before the first position (RoBERTa).
Folded fold(const Arch& arch, ModelSpec* spec);

// The tensor with some of its rows multiplied, as f32.
ExportTensor scaled(ExportTensor tensor, const std::vector<RowScale>& scales);

}  // namespace lm
