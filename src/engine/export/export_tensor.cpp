#include "engine/export/export_tensor.h"

#include <algorithm>
#include <cstring>

#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/kernels/cpu/to_f32.h"
#include "engine/quant/quantize.h"

namespace lm {

int64_t ExportTensor::rows() const {
  int64_t n = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) n *= shape[i];
  return n;
}

ExportTensor stored(std::string name, const TensorView& view) {
  const int64_t row_bytes = dtype_bytes(view.dtype, view.cols());
  return {std::move(name), view.dtype, view.shape,
          [view, row_bytes](int64_t first, int64_t last, std::byte* out) {
            std::memcpy(out, view.data + first * row_bytes,
                        static_cast<size_t>((last - first) * row_bytes));
          }};
}

ExportTensor picked_rows(std::string name, const TensorView& view, Shape shape,
                         std::vector<int64_t> from) {
  const int64_t row_bytes = dtype_bytes(view.dtype, view.cols());
  return {std::move(name), view.dtype, std::move(shape),
          [=, from = std::move(from)](int64_t first, int64_t last, std::byte* out) {
            for (int64_t r = first; r < last; ++r, out += row_bytes)
              std::memcpy(out, view.data + from[static_cast<size_t>(r)] * row_bytes,
                          static_cast<size_t>(row_bytes));
          }};
}

ExportTensor reordered(std::string name, const TensorView& view, std::vector<int64_t> from) {
  if (view.shape.size() > 1) return picked_rows(std::move(name), view, view.shape, std::move(from));
  // A vector is one row: all of its elements change places at once.
  ExportTensor t = picked_rows(std::move(name), {view.data, view.dtype, {view.numel(), 1}},
                               view.shape, std::move(from));
  t.read = [read = std::move(t.read), n = view.numel()](int64_t, int64_t, std::byte* out) {
    read(0, n, out);
  };
  return t;
}

ExportTensor transposed(std::string name, const TensorView& view) {
  LM_CHECK(view.shape.size() == 2 && !is_quantized(view.dtype), ErrorCode::unsupported,
           "tensor \"{}\" ({} {}) cannot be transposed", name, dtype_name(view.dtype),
           shape_string(view.shape));
  const auto size = static_cast<size_t>(dtype_info(view.dtype).block_bytes);
  const int64_t n = view.shape[0], stride = view.shape[1];
  return {std::move(name),
          view.dtype,
          {view.shape[1], view.shape[0]},
          [=](int64_t first, int64_t last, std::byte* out) {
            for (int64_t r = first; r < last; ++r)
              for (int64_t k = 0; k < n; ++k, out += size)
                std::memcpy(out, view.data + (k * stride + r) * static_cast<int64_t>(size), size);
          }};
}

ExportTensor stacked(std::string name, std::vector<TensorView> views) {
  const TensorView& one = views.at(0);
  for (const TensorView& v : views)
    LM_CHECK(v.shape == one.shape && v.dtype == one.dtype, ErrorCode::bad_file,
             "tensors to stack into \"{}\" differ: {} {} and {} {}", name, dtype_name(one.dtype),
             shape_string(one.shape), dtype_name(v.dtype), shape_string(v.shape));
  Shape shape = one.shape;
  shape.insert(shape.begin(), static_cast<int64_t>(views.size()));
  const int64_t each = one.rows(), row_bytes = dtype_bytes(one.dtype, one.cols());
  return {std::move(name), one.dtype, std::move(shape),
          [=](int64_t first, int64_t last, std::byte* out) {
            for (int64_t r = first; r < last; ++r, out += row_bytes)
              std::memcpy(out, views[static_cast<size_t>(r / each)].data + r % each * row_bytes,
                          static_cast<size_t>(row_bytes));
          }};
}

ExportTensor interleaved(std::string name, const TensorView& a, const TensorView& b) {
  LM_CHECK(a.shape.size() == 3 && a.shape == b.shape && a.dtype == b.dtype, ErrorCode::bad_file,
           "tensors to join into \"{}\" differ: {} {} and {} {}", name, dtype_name(a.dtype),
           shape_string(a.shape), dtype_name(b.dtype), shape_string(b.shape));
  const int64_t n = a.shape[1], row_bytes = dtype_bytes(a.dtype, a.cols());
  return {std::move(name),
          a.dtype,
          {a.shape[0], 2 * n, a.shape[2]},
          [=](int64_t first, int64_t last, std::byte* out) {
            for (int64_t r = first; r < last; ++r, out += row_bytes) {
              const int64_t row = r / (2 * n) * n + r % n;
              std::memcpy(out, (r % (2 * n) < n ? a : b).data + row * row_bytes,
                          static_cast<size_t>(row_bytes));
            }
          }};
}

ExportTensor slice(std::string name, const TensorView& view, int64_t index) {
  TensorView part = view;
  part.shape.erase(part.shape.begin());
  part.data += index * part.size_bytes();
  return stored(std::move(name), part);
}

ExportTensor mapped(std::string name, const TensorView& view, float (*f)(float)) {
  ExportTensor t = widened(stored(std::move(name), view));
  t.read = [read = std::move(t.read), cols = t.cols(), f](int64_t first, int64_t last,
                                                          std::byte* out) {
    read(first, last, out);
    auto* x = reinterpret_cast<float*>(out);
    std::transform(x, x + (last - first) * cols, x, f);
  };
  return t;
}

ExportTensor as_matrix(ExportTensor t, int64_t rows) {
  const int64_t n = t.cols(), cols = n / rows, row_bytes = dtype_bytes(t.dtype, cols);
  t.shape = {rows, cols};
  t.read = [read = std::move(t.read), bytes = dtype_bytes(t.dtype, n), row_bytes](
               int64_t first, int64_t last, std::byte* out) {
    std::vector<std::byte> all(static_cast<size_t>(bytes));
    read(0, 1, all.data());
    std::memcpy(out, all.data() + first * row_bytes,
                static_cast<size_t>((last - first) * row_bytes));
  };
  return t;
}

ExportTensor as_vector(ExportTensor t) {
  const int64_t rows = t.rows();
  t.shape = {rows * t.cols()};
  t.read = [read = std::move(t.read), rows](int64_t, int64_t, std::byte* out) {
    read(0, rows, out);
  };
  return t;
}

ExportTensor widened(ExportTensor t) {
  if (t.dtype == DType::f32) return t;
  check_to_f32(t.dtype);
  t.read = [read = std::move(t.read), type = t.dtype, cols = t.cols()](int64_t first, int64_t last,
                                                                       std::byte* out) {
    const int64_t n = (last - first) * cols;
    std::vector<std::byte> bytes(static_cast<size_t>(dtype_bytes(type, n)));
    read(first, last, bytes.data());
    to_f32({bytes.data(), type, {n}}, 0, n, reinterpret_cast<float*>(out));
  };
  t.dtype = DType::f32;
  return t;
}

void write_converted(const ExportTensor& t, DType type, ThreadPool& pool,
                     const std::function<void(std::span<const std::byte>)>& sink) {
  constexpr int64_t kPieceElements = int64_t{1} << 22;
  const int64_t rows = t.rows(), cols = t.cols();
  const int64_t step = std::max<int64_t>(1, kPieceElements / std::max<int64_t>(1, cols));
  std::vector<std::byte> piece;
  for (int64_t first = 0; first < rows; first += step) {
    check_interrupt();
    const int64_t n = std::min(step, rows - first);
    piece.resize(static_cast<size_t>(dtype_bytes(t.dtype, n * cols)));
    t.read(first, first + n, piece.data());
    if (type == t.dtype)
      sink(piece);
    else
      sink(convert_rows({piece.data(), t.dtype, {n, cols}}, t.name, type, 0, n, pool));
  }
}

}  // namespace lm
