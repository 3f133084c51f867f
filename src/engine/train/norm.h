// RMSNorm and LayerNorm with weights that may be trained.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/train/linear.h"

namespace lm::train {

class Norm {
 public:
  Norm() = default;
  template <typename RoleOf>
  Norm(const NormSpec& spec, int64_t n, const TensorReader& reader, ParameterSet* parameters,
       RoleOf&& role)
      : Norm(spec, n, reader, parameters, !spec.weight.empty() && role(spec.weight).trained) {}
  Norm(const NormSpec& spec, int64_t n, const TensorReader& reader, ParameterSet* parameters,
       bool trained);

  bool exists() const { return spec_.kind != NormKind::none; }
  bool is_rms() const { return spec_.kind == NormKind::rms; }
  bool trained() const { return weight_parameter_ != nullptr; }
  void refresh();

  // y = norm(x) for RMSNorm; rows of x and y may be further apart than n. rstd: [T] f32, for the
  // backward pass, or undefined.
  void forward(const at::Tensor& x, at::Tensor& y, at::Tensor* rstd) const;
  // dx += the gradient of x from dy; adds the weight's.
  void backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd,
                at::Tensor& dx) const;
  // The plain form for autograd, either kind.
  at::Tensor plain(const at::Tensor& x) const;

 private:
  NormSpec spec_;
  int64_t n_ = 0;
  at::Tensor weight_, bias_;  // f32; weight with its offset
  Parameter *weight_parameter_ = nullptr, *bias_parameter_ = nullptr;
};

}  // namespace lm::train
