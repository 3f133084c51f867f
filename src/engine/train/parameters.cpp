#include "engine/train/parameters.h"

#include <ATen/ops/zeros_like.h>

#include <algorithm>

namespace lm::train {

Parameter* ParameterSet::add(const std::string& name, const at::Tensor& value, bool decay) {
  return adopt(name, value.to(at::kFloat).clone().contiguous(), decay);
}

Parameter* ParameterSet::adopt(const std::string& name, const at::Tensor& value, bool decay) {
  list_.push_back({name, value, by_block_ ? at::Tensor() : at::zeros_like(value), decay, 1.0f});
  return &list_.back();
}

int64_t ParameterSet::numel() const {
  int64_t n = 0;
  for (const Parameter& p : list_) n += p.value.numel();
  return n;
}

void ParameterSet::zero_grad() {
  for (Parameter& p : list_)
    if (p.grad.defined()) p.grad.zero_();
}

void ParameterSet::open_grads(size_t first, size_t last) {
  for (size_t i = first; i < last; ++i) {
    Parameter& p = list_[i];
    if (!p.grad.defined())
      p.grad = at::zeros_like(p.value, at::TensorOptions().requires_grad(false));
    p.value.mutable_grad() = p.grad;
  }
}

void ParameterSet::close_grads(size_t first, size_t last) {
  for (size_t i = first; i < last; ++i)
    list_[i].grad = list_[i].value.mutable_grad() = at::Tensor();
}

double ParameterSet::grad_squares(size_t first, size_t last) const {
  double sum = 0;
  for (size_t index = first; index < last; ++index) {
    const Parameter& p = list_[index];
    const float* g = p.grad.const_data_ptr<float>();
    constexpr int64_t kPart = 4096;
    for (int64_t at = 0, n = p.grad.numel(); at < n; at += kPart) {
      float lanes[16] = {};
      const int64_t end = std::min(n, at + kPart);
      int64_t i = at;
      for (; i + 16 <= end; i += 16)
        for (int64_t j = 0; j < 16; ++j) lanes[j] += g[i + j] * g[i + j];
      for (; i < end; ++i) lanes[0] += g[i] * g[i];
      for (const float lane : lanes) sum += static_cast<double>(lane);
    }
  }
  return sum;
}

}  // namespace lm::train
