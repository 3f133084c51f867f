// Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) as torch.optim.Muon computes
// it: the momentum of a matrix of the layers is made nearly orthogonal by five Newton-Schulz steps
// in bf16. Rates are matched to AdamW's (Liu et al. 2025, arXiv:2502.16982: 0.2 sqrt(longer side)),
// so that one learning rate serves both: embeddings, the output matrix, norms and biases get AdamW.
#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/lerp.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/norm.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "engine/train/optimizers/optimizer.h"

namespace lm::train {

std::unique_ptr<Optimizer> make_adamw();

namespace {

constexpr double kA = 3.4445, kB = -4.775, kC = 2.0315, kLeastNorm = 1e-7;
constexpr int kSteps = 5;

// Singular values of about 1 in place of g's own.
at::Tensor orthogonal(const at::Tensor& g) {
  const bool tall = g.size(0) > g.size(1);
  at::Tensor x = g.to(at::kBFloat16);
  if (tall) x = x.t();
  x = x / x.norm().clamp_min(kLeastNorm);
  for (int i = 0; i < kSteps; ++i) {
    const at::Tensor gram = at::mm(x, x.t());
    x = at::addmm(x, at::addmm(gram, gram, gram, kB, kC), x, kA);
  }
  return tall ? x.t() : x;
}

class Muon : public Optimizer {
 public:
  Moments defaults() const override { return {.momentum = 0.95}; }
  double state_bytes() const override { return 4; }

  void update(Parameter& p, OptimizerState& state, const UpdateArgs& a) const override {
    if (p.value.dim() != 2 || !p.name.starts_with("blk.")) return other_->update(p, state, a);
    at::Tensor& mean = state["momentum"];
    const at::Tensor g = p.grad * a.grad_scale;
    if (!mean.defined()) mean = at::zeros_like(g);
    mean.lerp_(g, 1.0 - a.momentum);
    const auto longer = static_cast<double>(std::max(p.value.size(0), p.value.size(1)));
    const at::Tensor step = orthogonal(at::lerp(g, mean, a.momentum)).to(at::kFloat);
    p.value.mul_(1.0 - a.lr * a.weight_decay).add_(step, -a.lr * 0.2 * std::sqrt(longer));
  }

 private:
  std::unique_ptr<Optimizer> other_ = make_adamw();
};

}  // namespace

std::unique_ptr<Optimizer> make_muon() {
  return std::make_unique<Muon>();
}

}  // namespace lm::train
