// Tensors of a model file as f32 libtorch tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "engine/formats/checkpoint.h"
#include "engine/models/model_spec.h"

namespace lm::train {

class TensorReader {
 public:
  explicit TensorReader(const TensorFile& file) : file_(file) {}
  bool has(const std::string& name) const { return file_.tensors.contains(name); }
  // The whole tensor in its own shape. Throws bad_file when it is missing, unsupported for types
  // that are no numbers.
  at::Tensor tensor(const std::string& name) const;
  // A projection's weight [rows, cols]: a part of a tensor, transposed ones turned. Throws bad_file
  // naming wrong shapes.
  at::Tensor matrix(const LinearSpec& spec, int64_t rows, int64_t cols) const;
  // Its bias [rows] or an undefined tensor.
  at::Tensor bias(const LinearSpec& spec, int64_t rows) const;
  // n values; an undefined tensor for an empty name.
  at::Tensor vector(const std::string& name, int64_t n) const;

 private:
  const TensorView& find(const std::string& name) const;
  const TensorFile& file_;
};

}  // namespace lm::train
