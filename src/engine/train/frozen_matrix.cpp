#include "engine/train/frozen_matrix.h"

#include <ATen/ops/empty.h>

#include "engine/quant/int8_rows.h"
#include "engine/train/rows.h"

namespace lm::train {

FrozenMatrix::FrozenMatrix(const at::Tensor& w, Quantize kind)
    : rows_(w.size(0)), cols_(w.size(1)) {
  const float* from = w.const_data_ptr<float>();
  if (kind == Quantize::nf4) {
    codes_ = at::empty({(rows_ * cols_ + 1) / 2}, at::kByte);
    scales_ = nf4_quantize(from, rows_ * cols_, codes_.mutable_data_ptr<uint8_t>());
    return;
  }
  codes_ = at::empty({rows_, cols_}, at::kChar);
  magnitudes_.resize(static_cast<size_t>(rows_));
  auto* to = codes_.mutable_data_ptr<int8_t>();
  for (int64_t r = 0; r < rows_; ++r)
    magnitudes_[static_cast<size_t>(r)] =
        int8_quantize_row(from + r * cols_, cols_, to + r * cols_);
}

void FrozenMatrix::write(const at::Tensor& to) const {
  by_type(to, [&]<typename T>() {
    using Bits = std::conditional_t<std::is_same_v<T, float>, float, uint16_t>;
    auto* out = static_cast<Bits*>(to.mutable_data_ptr());
    for_rows(rows_, cols_, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        Bits* row = out + r * to.stride(0);
        if (magnitudes_.empty())
          nf4_dequantize(codes_.const_data_ptr<uint8_t>(), scales_, r * cols_, (r + 1) * cols_,
                         row);
        else
          int8_dequantize_row(codes_.const_data_ptr<int8_t>() + r * cols_,
                              magnitudes_[static_cast<size_t>(r)], cols_, row);
      }
    });
  });
}

}  // namespace lm::train
