// A typed, shaped window onto somebody else's bytes. Never owns; the mapped file or buffer behind
// it must outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/dtype.h"

namespace lm {

// Sizes, slowest dimension first (row-major): a weight matrix is [out_features, in_features].
using Shape = std::vector<int64_t>;

std::string shape_string(const Shape& shape);  // "[49152, 576]"

struct TensorView {
  const std::byte* data = nullptr;
  DType dtype = DType::f32;
  Shape shape;
  int64_t numel() const {
    int64_t n = 1;
    for (int64_t d : shape) n *= d;
    return n;
  }
  int64_t size_bytes() const { return dtype_bytes(dtype, numel()); }
  int64_t rows() const { return shape.size() < 2 ? 1 : numel() / shape.back(); }
  int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
};

}  // namespace lm
