#include "engine/export/latent_tensors.h"

#include <algorithm>
#include <cstring>

#include "engine/core/error.h"
#include "engine/kernels/cpu/to_f32.h"

namespace lm {
namespace {

int64_t rows_of_head(const std::string& name, const TensorView& view, int64_t heads, int64_t nope) {
  LM_CHECK(view.shape.size() == 2 && !is_quantized(view.dtype) && view.shape[0] % heads == 0 &&
               view.shape[0] / heads > nope,
           ErrorCode::bad_file, "tensor \"{}\" ({} {}) is no matrix of {} heads", name,
           dtype_name(view.dtype), shape_string(view.shape), heads);
  return view.shape[0] / heads;
}

}  // namespace

ExportTensor latent_k(std::string name, const TensorView& view, int64_t heads, int64_t nope) {
  const int64_t step = rows_of_head(name, view, heads, nope), rank = view.shape[1];
  const int64_t size = dtype_bytes(view.dtype, 1);
  return {std::move(name),
          view.dtype,
          {heads, rank, nope},
          [=](int64_t first, int64_t last, std::byte* out) {
            for (int64_t r = first; r < last; ++r)
              for (int64_t i = 0; i < nope; ++i, out += size)
                std::memcpy(out, view.data + ((r / rank * step + i) * rank + r % rank) * size,
                            static_cast<size_t>(size));
          }};
}

ExportTensor latent_v(std::string name, const TensorView& view, int64_t heads, int64_t nope) {
  const int64_t step = rows_of_head(name, view, heads, nope), size = step - nope;
  std::vector<int64_t> from;
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t i = nope; i < step; ++i) from.push_back(h * step + i);
  return picked_rows(std::move(name), view, {heads, size, view.shape[1]}, std::move(from));
}

ExportTensor latent_joined(std::string name, const TensorView& k, const TensorView& v) {
  LM_CHECK(k.shape.size() == 3 && v.shape.size() == 3 && k.shape[0] == v.shape[0] &&
               k.shape[1] == v.shape[2],
           ErrorCode::bad_file, "tensors {} and {} do not make \"{}\"", shape_string(k.shape),
           shape_string(v.shape), name);
  const int64_t rank = k.shape[1], nope = k.shape[2], step = nope + v.shape[1];
  return {std::move(name),
          DType::f32,
          {k.shape[0] * step, rank},
          [=](int64_t first, int64_t last, std::byte* bytes) {
            auto* out = reinterpret_cast<float*>(bytes);
            std::vector<float> keys(static_cast<size_t>(rank * nope));  // of one head
            int64_t head = -1;
            for (int64_t r = first; r < last; ++r, out += rank) {
              const int64_t h = r / step, i = r % step;
              if (i >= nope) {
                to_f32(v, (h * (step - nope) + i - nope) * rank, rank, out);
                continue;
              }
              if (h != head) to_f32(k, h * rank * nope, rank * nope, keys.data());
              head = h;
              for (int64_t c = 0; c < rank; ++c) out[c] = keys[static_cast<size_t>(c * nope + i)];
            }
          }};
}

}  // namespace lm
