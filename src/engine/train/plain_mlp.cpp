#include <ATen/TensorOperators.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros_like.h>

#include "engine/core/error.h"
#include "engine/train/plain_ops.h"

namespace lm::train {
namespace {

at::Tensor activate(const at::Tensor& x, Activation kind) {
  switch (kind) {
    case Activation::silu:
      return at::silu(x);
    case Activation::gelu_tanh:
      return at::gelu(x, "tanh");
    case Activation::gelu_erf:
      return at::gelu(x);
    case Activation::relu:
      return at::relu(x);
    case Activation::relu_squared:
      return at::relu(x) * at::relu(x);
    case Activation::quick_gelu:
      return x * at::sigmoid(x * 1.702);
    case Activation::tanh:
      return at::tanh(x);
  }
  return x;
}

class PlainMlp : public PlainOp {
 public:
  PlainMlp(const MlpSpec& m, const BlockBuilder& b)
      : gated_(m.gated),
        size_(m.size),
        activation_(m.activation),
        in_(m.gated ? std::vector<LinearSpec>{m.gate, m.up} : std::vector<LinearSpec>{m.up},
            m.gated ? std::vector<int64_t>{m.size, m.size} : std::vector<int64_t>{m.size}, b.hidden,
            b.reader, b.compute, b.parameters, b.role),
        down_({m.down}, {b.hidden}, m.size, b.reader, b.compute, b.parameters, b.role) {}

  at::Tensor apply(const at::Tensor& x, const PassContext&) const override { return run(x); }
  at::Tensor run(const at::Tensor& x) const {
    const at::Tensor y = in_.plain(x);
    if (!gated_) return down_.plain(activate(y, activation_));
    return down_.plain(activate(y.slice(1, 0, size_), activation_) * y.slice(1, size_));
  }
  void refresh() override {
    in_.refresh();
    down_.refresh();
  }
  void for_each_linear(const std::function<void(Linear&)>& f) override {
    f(in_);
    f(down_);
  }

 private:
  bool gated_;
  int64_t size_;
  Activation activation_;
  Linear in_, down_;
};

// The balancing loss of routers is left out: adapters rarely train them.
class PlainMoe : public PlainOp {
 public:
  PlainMoe(const MoeSpec& m, const BlockBuilder& b)
      : m_(m),
        gate_({m.gate}, {static_cast<int64_t>(m.experts.size())}, b.hidden, b.reader, b.compute,
              b.parameters, b.role) {
    LM_CHECK(m.router != RouterKind::sparsemixer && m.n_groups == 0, ErrorCode::unsupported,
             "training: routers by sparse mixing or groups of experts are not supported");
    choice_bias_ = b.reader.vector(m.choice_bias, static_cast<int64_t>(m.experts.size()));
    for (const MlpSpec& e : m.experts) experts_.push_back(std::make_unique<PlainMlp>(e, b));
    if (m.shared) shared_ = std::make_unique<PlainMlp>(*m.shared, b);
    if (m.shared_gate)
      shared_gate_ =
          Linear({*m.shared_gate}, {1}, b.hidden, b.reader, b.compute, b.parameters, b.role);
  }

  at::Tensor apply(const at::Tensor& x, const PassContext&) const override {
    const at::Tensor logits = gate_.plain(x).to(at::kFloat);
    const at::Tensor scores =
        m_.router == RouterKind::sigmoid ? at::sigmoid(logits) : at::softmax(logits, -1);
    const at::Tensor choice = choice_bias_.defined() ? scores + choice_bias_ : scores;
    const at::Tensor chosen = std::get<1>(at::topk(choice, m_.n_used, -1));
    at::Tensor weights = scores.gather(1, chosen);
    if (m_.renormalize) weights = weights / weights.sum(-1, true);
    weights = (weights * static_cast<double>(m_.scale)).to(x.scalar_type());
    at::Tensor out = at::zeros_like(x);
    for (size_t e = 0; e < experts_.size(); ++e) {
      const at::Tensor hit = at::nonzero(chosen == static_cast<int64_t>(e));
      if (hit.size(0) == 0) continue;
      const at::Tensor token = hit.select(1, 0), place = hit.select(1, 1);
      const at::Tensor w = weights.index_select(0, token).gather(1, place.unsqueeze(1));
      out = at::index_add(out, 0, token, experts_[e]->run(x.index_select(0, token)) * w);
    }
    if (shared_) {
      at::Tensor y = shared_->run(x);
      if (m_.shared_gate) y = y * at::sigmoid(shared_gate_.plain(x));
      out = out + y;
    }
    return out;
  }
  void refresh() override {
    for_each_linear([](Linear& linear) { linear.refresh(); });
  }
  void for_each_linear(const std::function<void(Linear&)>& f) override {
    f(gate_);
    for (const auto& expert : experts_) expert->for_each_linear(f);
    if (shared_) shared_->for_each_linear(f);
    if (m_.shared_gate) f(shared_gate_);
  }

 private:
  MoeSpec m_;
  Linear gate_, shared_gate_;
  at::Tensor choice_bias_;
  std::vector<std::unique_ptr<PlainMlp>> experts_;
  std::unique_ptr<PlainMlp> shared_;
};

}  // namespace

std::unique_ptr<PlainOp> plain_op(const MlpSpec& spec, const BlockBuilder& b) {
  return std::make_unique<PlainMlp>(spec, b);
}
std::unique_ptr<PlainOp> plain_op(const MoeSpec& spec, const BlockBuilder& b) {
  return std::make_unique<PlainMoe>(spec, b);
}

}  // namespace lm::train
