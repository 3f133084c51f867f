// Lion (Chen et al. 2023, arXiv:2302.06675, algorithm 2): the sign of an average of gradients.
#include <ATen/Parallel.h>
#include <ATen/ops/zeros_like.h>

#include "engine/train/optimizers/optimizer.h"

namespace lm::train {
namespace {

class Lion : public Optimizer {
 public:
  int64_t states() const override { return 1; }
  void update(Parameter& p, OptimizerState& state, const UpdateArgs& a) const override {
    at::Tensor& m = state["m"];
    if (!m.defined()) m = at::zeros_like(p.grad);
    const auto scale = static_cast<float>(a.grad_scale), lr = static_cast<float>(a.lr),
               beta1 = static_cast<float>(a.beta1), beta2 = static_cast<float>(a.beta2),
               keep = static_cast<float>(1.0 - a.lr * a.weight_decay);
    float *value = p.value.mutable_data_ptr<float>(), *mean = m.mutable_data_ptr<float>();
    const float* grad = p.grad.const_data_ptr<float>();
    at::parallel_for(0, p.value.numel(), 1 << 15, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float g = grad[i] * scale, c = beta1 * mean[i] + (1.0f - beta1) * g;
        const float sign = c > 0 ? 1.0f : c < 0 ? -1.0f : 0.0f;
        value[i] = value[i] * keep - lr * sign;
        mean[i] = beta2 * mean[i] + (1.0f - beta2) * g;
      }
    });
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_lion() {
  return std::make_unique<Lion>();
}

}  // namespace lm::train
