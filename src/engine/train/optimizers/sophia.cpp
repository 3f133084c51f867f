// Sophia-G (Liu et al. 2023, arXiv:2305.14342, algorithms 2 and 3): steps of the gradients' mean
// over the curvature, at most the learning rate. Every ten steps the curvature's mean takes in
// tokens * (gradient of the loss for targets drawn from the model itself)^2.
#include <ATen/Parallel.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "engine/train/optimizers/optimizer.h"

namespace lm::train {
namespace {

constexpr float kRho = 0.04f;

class Sophia : public Optimizer {
 public:
  Moments defaults() const override { return {.beta1 = 0.965, .beta2 = 0.99}; }
  double state_bytes() const override { return 8; }
  int64_t curvature_every() const override { return 10; }

  void update(Parameter& p, OptimizerState& state, const UpdateArgs& a) const override {
    prepare(p, state);
    const auto scale = static_cast<float>(a.grad_scale), lr = static_cast<float>(a.lr),
               beta1 = static_cast<float>(a.beta1),
               keep = static_cast<float>(1.0 - a.lr * a.weight_decay);
    float *value = p.value.mutable_data_ptr<float>(), *m = state["m"].mutable_data_ptr<float>();
    const float *h = state["h"].const_data_ptr<float>(), *grad = p.grad.const_data_ptr<float>();
    at::parallel_for(0, p.value.numel(), 1 << 15, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        m[i] = beta1 * m[i] + (1.0f - beta1) * grad[i] * scale;
        const float ratio = std::min(1.0f, std::fabs(m[i]) / (kRho * h[i] + 1e-15f));
        value[i] = value[i] * keep - lr * std::copysign(ratio, m[i]);
      }
    });
  }

  void add_curvature(Parameter& p, OptimizerState& state, const UpdateArgs& a) const override {
    prepare(p, state);
    state["h"].mul_(a.beta2).addcmul_(p.grad, p.grad,
                                      (1.0 - a.beta2) * static_cast<double>(a.n_targets));
  }

 private:
  static void prepare(const Parameter& p, OptimizerState& state) {
    for (const char* name : {"m", "h"})
      if (!state[name].defined()) state[name] = at::zeros_like(p.grad);
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_sophia() {
  return std::make_unique<Sophia>();
}

}  // namespace lm::train
