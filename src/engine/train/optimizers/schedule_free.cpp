// Schedule-free AdamW (Defazio et al. 2024, arXiv:2405.15682) as the authors' AdamWScheduleFree
// computes it. Trained weights are y, between the fast z and the average x; x = y + (1 - 1/beta1)
// (z - y) is what to evaluate with and to keep. Wants a constant learning rate after the warm-up.
#include <ATen/Parallel.h>
#include <ATen/ops/lerp.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "engine/train/optimizers/optimizer.h"

namespace lm::train {
namespace {

class ScheduleFree : public Optimizer {
 public:
  double state_bytes() const override { return 8; }

  void update(Parameter& p, OptimizerState& state, const UpdateArgs& a) const override {
    at::Tensor &z = state["z"], &v = state["v"], &sums = state["sums"];
    if (!z.defined()) {
      z = p.value.detach().clone();
      v = at::zeros_like(p.grad);
      sums = at::zeros({2}, at::kDouble);
    }
    double *sum = sums.mutable_data_ptr<double>(), &weights = sum[0], &highest = sum[1];
    highest = std::max(highest, a.lr);
    const double weight = highest * highest;
    weights += weight;
    const double share = weights > 0 ? weight / weights : 0.0;
    const auto beta2 = static_cast<float>(a.beta2), rest = static_cast<float>(1.0 - a.beta2),
               bias = static_cast<float>(1.0 - std::pow(a.beta2, static_cast<double>(a.step))),
               epsilon = static_cast<float>(a.epsilon), lr = static_cast<float>(a.lr),
               decay = static_cast<float>(a.weight_decay), scale = static_cast<float>(a.grad_scale),
               c = static_cast<float>(share),
               pull = static_cast<float>(a.lr * (a.beta1 * (1.0 - share) - 1.0));
    auto *y = p.value.mutable_data_ptr<float>(), *fast = z.mutable_data_ptr<float>(),
         *square = v.mutable_data_ptr<float>();
    const auto* grad = p.grad.const_data_ptr<float>();
    at::parallel_for(0, p.value.numel(), 1 << 15, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float g = grad[i] * scale;
        square[i] = beta2 * square[i] + rest * g * g;
        const float step = g / (std::sqrt(square[i] / bias) + epsilon) + decay * y[i];
        y[i] += c * (fast[i] - y[i]) + pull * step;
        fast[i] -= lr * step;
      }
    });
  }

  at::Tensor average(const Parameter& p, const OptimizerState& state,
                     const UpdateArgs& a) const override {
    const auto z = state.find("z");
    return z == state.end() ? at::Tensor() : at::lerp(p.value, z->second, 1.0 - 1.0 / a.beta1);
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_schedule_free() {
  return std::make_unique<ScheduleFree>();
}

}  // namespace lm::train
