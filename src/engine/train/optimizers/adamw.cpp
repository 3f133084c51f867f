// AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) as torch.optim.AdamW computes it, in one pass
// over the numbers.
#include <ATen/Parallel.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "engine/train/kernels/train_kernels.h"
#include "engine/train/optimizers/optimizer.h"

namespace lm::train {
namespace {

class Adamw : public Optimizer {
 public:
  int64_t states() const override { return 2; }
  void update(Parameter& p, OptimizerState& state, const UpdateArgs& a) const override {
    at::Tensor &m = state["m"], &v = state["v"];
    if (!m.defined()) {
      m = at::zeros_like(p.grad);
      v = at::zeros_like(p.grad);
    }
    const auto t = static_cast<double>(a.step);
    AdamwArgs k;
    k.lr = static_cast<float>(a.lr);
    k.beta1 = static_cast<float>(a.beta1);
    k.beta2 = static_cast<float>(a.beta2);
    k.eps = static_cast<float>(a.epsilon);
    k.weight_decay = static_cast<float>(a.weight_decay);
    k.bias1 = static_cast<float>(1.0 - std::pow(a.beta1, t));
    k.bias2 = static_cast<float>(1.0 - std::pow(a.beta2, t));
    k.grad_scale = static_cast<float>(a.grad_scale);
    float *value = p.value.mutable_data_ptr<float>(), *m_at = m.mutable_data_ptr<float>(),
          *v_at = v.mutable_data_ptr<float>();
    const float* grad = p.grad.const_data_ptr<float>();
    at::parallel_for(0, p.value.numel(), 1 << 15, [&](int64_t begin, int64_t end) {
      train_kernels().adamw(k, value, grad, m_at, v_at, begin, end);
    });
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_adamw() {
  return std::make_unique<Adamw>();
}

}  // namespace lm::train
