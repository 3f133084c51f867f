// A tensor on its way to another file: read in pieces of rows, so that a model is never in memory
// twice.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/core/tensor_view.h"
#include "engine/core/thread_pool.h"

namespace lm {

struct ExportTensor {
  std::string name;
  DType dtype{};  // of the bytes that read() gives
  Shape shape;    // row-major
  // Rows [first, last) of the tensor seen as rows of shape.back() elements; out has dtype_bytes of
  // them.
  std::function<void(int64_t first, int64_t last, std::byte* out)> read;

  int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const;
};

// The tensor as it is. The bytes behind `view` must outlive the result (true of all of these).
ExportTensor stored(std::string name, const TensorView& view);
// Row r of the result is row [r] of the view (models/layout.h); of a vector, elements.
ExportTensor reordered(std::string name, const TensorView& view, std::vector<int64_t> from);
// Some rows of the view (seen as rows of view.cols() elements) as a tensor of another shape.
ExportTensor picked_rows(std::string name, const TensorView& view, Shape shape,
                         std::vector<int64_t> from);
// [a, b] -> [b, a]; plain numbers only.
ExportTensor transposed(std::string name, const TensorView& view);
// n tensors of equal shape and type -> one with a new first dimension n.
ExportTensor stacked(std::string name, std::vector<TensorView> views);
// Two tensors [n, a, c] -> one [n, 2a, c]: for each element of the first dimension, all of the one,
// then all of the other.
ExportTensor interleaved(std::string name, const TensorView& first, const TensorView& second);
// Element `index` of the first dimension.
ExportTensor slice(std::string name, const TensorView& view, int64_t index);
// Every value through `f`, as f32.
ExportTensor mapped(std::string name, const TensorView& view, float (*f)(float));
// A vector as a matrix of `rows` rows.
ExportTensor as_matrix(ExportTensor vector, int64_t rows);
// A matrix as a vector, row after row.
ExportTensor as_vector(ExportTensor matrix);
// The same values as f32.
ExportTensor widened(ExportTensor tensor);

// Gives the tensor as `type` to `sink`, some megabytes at a time, converting on all threads. Throws
// what convert_rows throws (quant/quantize.h), and interrupted.
void write_converted(const ExportTensor& tensor, DType type, ThreadPool& pool,
                     const std::function<void(std::span<const std::byte>)>& sink);

}  // namespace lm
