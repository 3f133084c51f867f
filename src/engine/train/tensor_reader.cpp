#include "engine/train/tensor_reader.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "engine/core/error.h"
#include "engine/kernels/cpu/to_f32.h"

namespace lm::train {
namespace {

at::Tensor read(const TensorView& view, const Shape& shape) {
  check_to_f32(view.dtype);
  at::Tensor out = at::empty(shape, at::kFloat);
  float* to = out.mutable_data_ptr<float>();
  const int64_t block = dtype_info(view.dtype).block;
  at::parallel_for(0, view.numel() / block, 1 << 12, [&](int64_t begin, int64_t end) {
    to_f32(view, begin * block, (end - begin) * block, to + begin * block);
  });
  return out;
}

}  // namespace

const TensorView& TensorReader::find(const std::string& name) const {
  const auto it = file_.tensors.find(name);
  LM_CHECK(it != file_.tensors.end(), ErrorCode::bad_file, "the model has no tensor \"{}\"", name);
  return it->second;
}

at::Tensor TensorReader::tensor(const std::string& name) const {
  const TensorView& view = find(name);
  return read(view, view.shape);
}

at::Tensor TensorReader::matrix(const LinearSpec& spec, int64_t rows, int64_t cols) const {
  TensorView v = find(spec.weight);
  const bool part = spec.n_rows >= 0;
  if (v.shape.size() == 3 && part && !spec.transposed)
    v.shape = {v.shape[0] * v.shape[1], v.shape[2]};
  const Shape whole = v.shape;
  const int64_t r = spec.transposed ? cols : rows, c = spec.transposed ? rows : cols;
  const bool fits = v.shape.size() == 2 && v.shape[1] == c &&
                    (part ? !spec.transposed && spec.n_rows == rows && spec.row_begin >= 0 &&
                                spec.row_begin + rows <= v.shape[0]
                          : v.shape[0] == r);
  LM_CHECK(fits, ErrorCode::bad_file, "tensor \"{}\" has shape {}; expected [{}, {}]", spec.weight,
           shape_string(whole), r, c);
  if (part) {
    v.data += spec.row_begin * dtype_bytes(v.dtype, c);
    v.shape[0] = rows;
  }
  const at::Tensor out = read(v, v.shape);
  return spec.transposed ? out.t().contiguous() : out;
}

at::Tensor TensorReader::bias(const LinearSpec& spec, int64_t rows) const {
  if (spec.bias.empty()) return {};
  const at::Tensor all = tensor(spec.bias).flatten();
  const int64_t begin = spec.n_rows >= 0 ? spec.row_begin : 0;
  LM_CHECK(all.numel() >= begin + rows, ErrorCode::bad_file,
           "tensor \"{}\" has {} values; expected {}", spec.bias, all.numel(), begin + rows);
  return all.slice(0, begin, begin + rows).contiguous();
}

at::Tensor TensorReader::vector(const std::string& name, int64_t n) const {
  if (name.empty()) return {};
  const at::Tensor out = tensor(name).flatten();
  LM_CHECK(out.numel() == n, ErrorCode::bad_file, "tensor \"{}\" has {} values; expected {}", name,
           out.numel(), n);
  return out;
}

}  // namespace lm::train
