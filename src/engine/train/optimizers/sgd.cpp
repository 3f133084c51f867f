// Stochastic gradient descent with momentum as torch.optim.SGD computes it (dampening 0); the
// weight decay is decoupled, as AdamW's.
#include <ATen/Parallel.h>
#include <ATen/ops/zeros_like.h>

#include "engine/train/optimizers/optimizer.h"

namespace lm::train {
namespace {

class Sgd : public Optimizer {
 public:
  int64_t states() const override { return 1; }
  void update(Parameter& p, OptimizerState& state, const UpdateArgs& a) const override {
    float* velocity = nullptr;
    if (a.momentum > 0) {
      at::Tensor& v = state["velocity"];
      if (!v.defined()) v = at::zeros_like(p.grad);
      velocity = v.mutable_data_ptr<float>();
    }
    const auto scale = static_cast<float>(a.grad_scale), lr = static_cast<float>(a.lr),
               momentum = static_cast<float>(a.momentum),
               keep = static_cast<float>(1.0 - a.lr * a.weight_decay);
    float* value = p.value.mutable_data_ptr<float>();
    const float* grad = p.grad.const_data_ptr<float>();
    at::parallel_for(0, p.value.numel(), 1 << 15, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float g = grad[i] * scale;
        if (velocity != nullptr) g = velocity[i] = momentum * velocity[i] + g;
        value[i] = value[i] * keep - lr * g;
      }
    });
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd() {
  return std::make_unique<Sgd>();
}

}  // namespace lm::train
