#include "engine/train/norm.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/zeros.h>

#include "engine/train/rows.h"

namespace lm::train {

Norm::Norm(const NormSpec& spec, int64_t n, const TensorReader& reader, ParameterSet* parameters,
           bool trained)
    : spec_(spec), n_(n) {
  if (!exists()) return;
  const at::Tensor stored = reader.vector(spec.weight, n);
  weight_ =
      stored.defined() ? stored + static_cast<double>(spec.offset) : at::ones({n}, at::kFloat);
  bias_ = reader.vector(spec.bias, n);
  if (!trained) return;
  weight_parameter_ = parameters->add(spec.weight, stored, false);
  if (bias_.defined()) bias_parameter_ = parameters->add(spec.bias, bias_, false);
}

void Norm::refresh() {
  if (weight_parameter_ != nullptr)
    weight_.copy_(weight_parameter_->value).add_(static_cast<double>(spec_.offset));
  if (bias_parameter_ != nullptr) bias_.copy_(bias_parameter_->value);
}

void Norm::forward(const at::Tensor& x, at::Tensor& y, at::Tensor* rstd) const {
  const float* w = weight_.const_data_ptr<float>();
  float* r = rstd != nullptr ? rstd->mutable_data_ptr<float>() : nullptr;
  by_type(x, [&]<typename T>() {
    const auto& k = row_kernels<T>(train_kernels());
    for_rows(x.size(0), n_, [&](int64_t begin, int64_t end) {
      k.rms_norm(rows_of<T>(x), x.stride(0), w, spec_.eps, n_, mutable_rows_of<T>(y), y.stride(0),
                 r, begin, end);
    });
  });
}

void Norm::backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd,
                    at::Tensor& dx) const {
  const float *w = weight_.const_data_ptr<float>(), *r = rstd.const_data_ptr<float>();
  // Sums over rows are made in parts of fixed rows, so that they do not depend on the threads.
  constexpr int64_t kPart = 256;
  const int64_t rows = x.size(0), parts = (rows + kPart - 1) / kPart;
  at::Tensor dw = trained() ? at::zeros({parts, n_}, at::kFloat) : at::Tensor();
  by_type(x, [&]<typename T>() {
    const auto& k = row_kernels<T>(train_kernels());
    at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p)
        k.rms_norm_backward(rows_of<T>(dy), dy.stride(0), rows_of<T>(x), x.stride(0), w, r, n_,
                            mutable_rows_of<T>(dx), dx.stride(0),
                            dw.defined() ? dw.mutable_data_ptr<float>() + p * n_ : nullptr,
                            p * kPart, std::min(rows, (p + 1) * kPart));
    });
  });
  if (dw.defined()) weight_parameter_->grad.add_(dw.sum(0));
}

at::Tensor Norm::plain(const at::Tensor& x) const {
  if (!exists()) return x;
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor w = weight_parameter_ != nullptr
                           ? weight_parameter_->value + static_cast<double>(spec_.offset)
                           : weight_;
  if (is_rms()) {
    const at::Tensor r = at::rsqrt((wide * wide).mean(-1, true) + static_cast<double>(spec_.eps));
    return (wide * r * w).to(x.scalar_type());
  }
  const at::Tensor b = bias_parameter_ != nullptr ? bias_parameter_->value : bias_;
  return at::layer_norm(wide, {n_}, w, b, static_cast<double>(spec_.eps)).to(x.scalar_type());
}

}  // namespace lm::train
