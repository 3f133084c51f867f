#include "engine/train/parameters.h"

#include <ATen/Parallel.h>
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

namespace {

double sum_of_squares(const float* x, int64_t n) {
  float lanes[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int64_t j = 0; j < 16; ++j) lanes[j] += x[i + j] * x[i + j];
  for (; i < n; ++i) lanes[0] += x[i] * x[i];
  double sum = 0;
  for (const float lane : lanes) sum += static_cast<double>(lane);
  return sum;
}

}  // namespace

double ParameterSet::grad_squares(size_t first, size_t last) const {
  constexpr int64_t kPart = 4096;
  double sum = 0;
  std::vector<double> parts;
  for (size_t index = first; index < last; ++index) {
    const at::Tensor& grad = list_[index].grad;
    const float* g = grad.const_data_ptr<float>();
    const int64_t n = grad.numel(), n_parts = (n + kPart - 1) / kPart;
    parts.resize(static_cast<size_t>(n_parts));
    at::parallel_for(0, n_parts, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        parts[static_cast<size_t>(i)] =
            sum_of_squares(g + i * kPart, std::min(kPart, n - i * kPart));
    });
    for (const double part : parts) sum += part;
  }
  return sum;
}

}  // namespace lm::train
