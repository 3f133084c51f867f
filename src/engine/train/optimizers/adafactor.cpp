// Adafactor (Shazeer & Stern 2018, arXiv:1804.04235) with an outer learning rate, as transformers'
// Adafactor computes it with scale_parameter and relative_step off: of a matrix's squared gradients
// it keeps the means of rows and columns only.
#include <ATen/TensorOperators.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "engine/train/optimizers/optimizer.h"

namespace lm::train {
namespace {

constexpr double kSmall = 1e-30, kDecay = 0.8, kMostRms = 1.0;

class Adafactor : public Optimizer {
 public:
  double state_bytes() const override { return 0.05; }

  void update(Parameter& p, OptimizerState& state, const UpdateArgs& a) const override {
    const at::Tensor g = p.grad * a.grad_scale, square = g * g + kSmall;
    const double keep = 1.0 - std::pow(static_cast<double>(a.step), -kDecay);
    at::Tensor step =
        p.value.dim() == 2 ? factored(state, square, keep) : whole(state, square, keep);
    step.mul_(g);
    const double rms = root_mean_square(step);
    step.mul_(a.lr / std::max(1.0, rms / kMostRms));
    p.value.mul_(1.0 - a.lr * a.weight_decay).sub_(step);
  }

 private:
  static double root_mean_square(const at::Tensor& x) {
    return std::sqrt(x.square().mean().item<double>());
  }
  static void average(at::Tensor& mean, const at::Tensor& now, double keep) {
    if (!mean.defined()) mean = at::zeros_like(now);
    mean.mul_(keep).add_(now, 1.0 - keep);
  }
  // 1 / sqrt of what rows and columns say about each number.
  static at::Tensor factored(OptimizerState& state, const at::Tensor& square, double keep) {
    at::Tensor &rows = state["rows"], &columns = state["columns"];
    average(rows, square.mean(1), keep);
    average(columns, square.mean(0), keep);
    return at::outer((rows / rows.mean()).rsqrt(), columns.rsqrt());
  }
  static at::Tensor whole(OptimizerState& state, const at::Tensor& square, double keep) {
    at::Tensor& v = state["v"];
    average(v, square, keep);
    return v.rsqrt();
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_adafactor() {
  return std::make_unique<Adafactor>();
}

}  // namespace lm::train
