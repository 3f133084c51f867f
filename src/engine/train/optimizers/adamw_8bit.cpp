// AdamW with 8-bit states (Dettmers et al. 2022, arXiv:2110.02861) as bitsandbytes computes it: two
// bytes for each number instead of eight. Tensors of fewer than 4,096 numbers keep f32 states.
#include <ATen/Parallel.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "engine/train/optimizers/adamw_8bit_block.h"
#include "engine/train/optimizers/optimizer.h"

namespace lm::train {

std::unique_ptr<Optimizer> make_adamw();

namespace {

constexpr int64_t kLeast = 4096;

class Adamw8 : public Optimizer {
 public:
  double state_bytes() const override { return 2 + 8.0 / static_cast<double>(kBlock8); }

  void update(Parameter& p, OptimizerState& state, const UpdateArgs& a) const override {
    const int64_t n = p.value.numel();
    if (n < kLeast) return small_->update(p, state, a);
    const int64_t n_blocks = (n + kBlock8 - 1) / kBlock8;
    if (!state["m"].defined()) {
      for (const bool is_signed : {true, false}) {
        const char* name = is_signed ? "m" : "v";
        state[name] = at::full({n}, dynamic_map_zero(is_signed), at::kByte);
        state[std::string(name) + "_scale"] = at::zeros({n_blocks}, at::kFloat);
      }
    }
    const Adamw8Args k = arguments(a);
    auto* m = state["m"].mutable_data_ptr<uint8_t>();
    auto* v = state["v"].mutable_data_ptr<uint8_t>();
    auto* m_scale = state["m_scale"].mutable_data_ptr<float>();
    auto* v_scale = state["v_scale"].mutable_data_ptr<float>();
    auto* value = p.value.mutable_data_ptr<float>();
    const auto* grad = p.grad.const_data_ptr<float>();
    at::parallel_for(0, n_blocks, 64, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t at = b * kBlock8;
        adamw8_block(k, value + at, grad + at, {m + at, m_scale + b}, {v + at, v_scale + b},
                     std::min(kBlock8, n - at));
      }
    });
  }

 private:
  static Adamw8Args arguments(const UpdateArgs& a) {
    const auto t = static_cast<double>(a.step);
    Adamw8Args k;
    k.beta1 = static_cast<float>(a.beta1);
    k.beta2 = static_cast<float>(a.beta2);
    k.keep1 = static_cast<float>(1.0 - a.beta1);
    k.keep2 = static_cast<float>(1.0 - a.beta2);
    k.epsilon = static_cast<float>(a.epsilon);
    k.grad_scale = static_cast<float>(a.grad_scale);
    k.keep = static_cast<float>(1.0 - a.lr * a.weight_decay);
    k.step = static_cast<float>(-a.lr / (1.0 - std::pow(a.beta1, t)));
    k.root_bias2 = static_cast<float>(std::sqrt(1.0 - std::pow(a.beta2, t)));
    return k;
  }
  std::unique_ptr<Optimizer> small_ = make_adamw();
};

}  // namespace

std::unique_ptr<Optimizer> make_adamw_8bit() {
  return std::make_unique<Adamw8>();
}

}  // namespace lm::train
