#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "engine/core/error.h"
#include "engine/train/plain_ops.h"

namespace lm::train {
namespace {

struct PlainBranch {
  Norm norm, post_norm;
  float scale;
  std::unique_ptr<PlainOp> op;
};

class PlainBlock : public TrainBlock {
 public:
  PlainBlock(const Block& block, const BlockBuilder& b)
      : out_norm_(block.out_norm, b.hidden, b.reader, b.parameters, b.role) {
    for (const Branch& branch : block.branches) {
      PlainBranch p{Norm(branch.norm, b.hidden, b.reader, b.parameters, b.role),
                    Norm(branch.post_norm, b.hidden, b.reader, b.parameters, b.role), branch.scale,
                    nullptr};
      if (const auto* a = std::get_if<AttentionSpec>(&branch.op))
        p.op = plain_op(*a, b);
      else if (const auto* m = std::get_if<MlpSpec>(&branch.op))
        p.op = plain_op(*m, b);
      else if (const auto* e = std::get_if<MoeSpec>(&branch.op))
        p.op = plain_op(*e, b);
      else
        raise(ErrorCode::unsupported,
              "training: models with state spaces or recurrent attention are not supported");
      branches_.push_back(std::move(p));
    }
  }

  at::Tensor forward(const at::Tensor& x, const PassContext& pass, Saved* saved) const override {
    if (saved == nullptr) return run(x, pass);
    const at::AutoGradMode grad(true);
    const at::Tensor leaf = x.detach().requires_grad_(true);
    const at::Tensor y = run(leaf, pass);
    *saved = {leaf, y};
    return y.detach();
  }

  at::Tensor backward(const at::Tensor&, at::Tensor dy, const PassContext&, Saved& saved,
                      bool) const override {
    const at::AutoGradMode grad(true);
    saved[1].backward(dy);
    return saved[0].grad();
  }

  // Autograd keeps about four times the results of the matrix products, in f32.
  BlockBytes bytes_per_token() const override {
    int64_t out = 0;
    for (const PlainBranch& b : branches_)
      b.op->for_each_linear([&](Linear& linear) { out += linear.in() + linear.out(); });
    return {16 * out, 8 * out};
  }

  void refresh() override {
    out_norm_.refresh();
    for (PlainBranch& b : branches_) {
      b.norm.refresh();
      b.post_norm.refresh();
      b.op->refresh();
    }
  }
  void for_each_linear(const std::function<void(Linear&)>& f) override {
    for (PlainBranch& b : branches_) b.op->for_each_linear(f);
  }

 private:
  at::Tensor run(const at::Tensor& x, const PassContext& pass) const {
    at::Tensor y = x;
    for (const PlainBranch& b : branches_) {
      const at::Tensor f = b.post_norm.plain(b.op->apply(b.norm.plain(x), pass));
      y = y + (b.scale == 1.0f ? f : f * b.scale);
    }
    return out_norm_.plain(y);
  }

  std::vector<PlainBranch> branches_;
  Norm out_norm_;
};

}  // namespace

std::unique_ptr<TrainBlock> plain_block(const Block& block, const BlockBuilder& b) {
  return std::make_unique<PlainBlock>(block, b);
}

}  // namespace lm::train
