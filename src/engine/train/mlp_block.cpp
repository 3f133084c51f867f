// x + down(act(gate(norm(x))) * up(norm(x))): gate and up are one product; of the product's result
// only the two halves are kept, act(gate) * up is made again in the backward pass.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/ScalarType.h>

#include "engine/train/block.h"
#include "engine/train/rows.h"

namespace lm::train {
namespace {

enum Kept { kRstd, kU, kGateUp, kDownU, kResult, kPostRstd };

GateKind gate_kind(Activation a) {
  return a == Activation::silu        ? GateKind::silu
         : a == Activation::gelu_tanh ? GateKind::gelu_tanh
                                      : GateKind::gelu_erf;
}

class MlpBlock : public TrainBlock {
 public:
  MlpBlock(const Branch& branch, const MlpSpec& m, const BlockBuilder& b)
      : scale_(branch.scale),
        size_(m.size),
        kind_(gate_kind(m.activation)),
        norm_(branch.norm, b.hidden, b.reader, b.parameters, b.role),
        post_norm_(branch.post_norm, b.hidden, b.reader, b.parameters, b.role),
        in_({m.gate, m.up}, {m.size, m.size}, b.hidden, b.reader, b.compute, b.parameters, b.role),
        down_({m.down}, {b.hidden}, m.size, b.reader, b.compute, b.parameters, b.role) {}

  at::Tensor forward(const at::Tensor& x, const PassContext&, Saved* saved) const override {
    const int64_t t = x.size(0);
    Saved kept(6);
    kept[kRstd] = at::empty({t}, at::kFloat);
    at::Tensor in = in_.input_buffer(t);
    norm_.forward(x, in, &kept[kRstd]);
    in_.adapt_input(in);
    kept[kGateUp] = in_.forward(in);
    at::Tensor h = down_.input_buffer(t);
    by_type(h, [&]<typename T>() {
      const auto& k = row_kernels<T>(train_kernels());
      const T* gate = rows_of<T>(kept[kGateUp]);
      for_rows(t, size_, [&](int64_t begin, int64_t end) {
        k.glu(kind_, gate, gate + size_, 2 * size_, size_, mutable_rows_of<T>(h), h.stride(0),
              begin, end);
      });
    });
    down_.adapt_input(h);
    at::Tensor y;
    if (post_norm_.exists()) {
      kept[kResult] = down_.forward(h);
      kept[kPostRstd] = at::empty({t}, at::kFloat);
      y = at::empty_like(kept[kResult]);
      post_norm_.forward(kept[kResult], y, &kept[kPostRstd]);
      y = y.mul_(scale_).add_(x);
    } else {
      y = down_.forward_add(h, x, scale_);
    }
    if (saved != nullptr) {
      if (in_.rank() > 0) kept[kU] = in.slice(1, in_.in()).clone();
      if (down_.rank() > 0) kept[kDownU] = h.slice(1, size_).clone();
      *saved = std::move(kept);
    }
    return y;
  }

  at::Tensor backward(const at::Tensor& x, at::Tensor dy, const PassContext&, Saved& saved,
                      bool need_dx) const override {
    const int64_t t = x.size(0);
    at::Tensor df = scale_ == 1.0f ? dy : dy * scale_;
    if (post_norm_.exists()) {
      at::Tensor d = at::zeros_like(saved[kResult]);
      post_norm_.backward(df, saved[kResult], saved[kPostRstd], d);
      df = d;
    }
    at::Tensor dh = down_.input_grad(df, true);
    at::Tensor du = down_.rank() > 0 ? dh.slice(1, size_).clone() : at::Tensor();
    down_.finish_input_grad(dh);
    // dh is read and h written in the same rows: h takes its place.
    at::Tensor d_in_out = saved[kGateUp];
    by_type(dh, [&]<typename T>() {
      const auto& k = row_kernels<T>(train_kernels());
      T* gate = mutable_rows_of<T>(d_in_out);
      for_rows(t, size_, [&](int64_t begin, int64_t end) {
        k.glu_backward(kind_, gate, gate + size_, 2 * size_, rows_of<T>(dh), dh.stride(0), size_,
                       mutable_rows_of<T>(dh), dh.stride(0), begin, end);
      });
    });
    if (down_.rank() > 0) dh.slice(1, size_).copy_(saved[kDownU]);
    down_.param_grads(dh, df, du);
    dh = at::Tensor();
    at::Tensor in = in_.input_buffer(t);
    norm_.forward(x, in, nullptr);
    if (in_.rank() > 0) in.slice(1, in_.in()).copy_(saved[kU]);
    const bool need = need_dx || norm_.trained();
    at::Tensor d_in = in_.input_grad(d_in_out, need);
    in_.param_grads(in, d_in_out, in_.adapter_columns(d_in));
    if (!need) return {};
    in_.finish_input_grad(d_in);
    norm_.backward(d_in, x, saved[kRstd], dy);
    return dy;
  }

  bool is_mlp() const override { return true; }

  BlockBytes bytes_per_token() const override {
    const int64_t e = static_cast<int64_t>(c10::elementSize(in_.compute()));
    BlockBytes b;
    b.kept = e * (2 * size_ + in_.rank() + down_.rank()) + 4;
    if (post_norm_.exists()) b.kept += e * down_.out() + 4;
    b.scratch = e * (down_.out() + size_ + down_.rank() + 2 * (in_.in() + in_.rank()) +
                     std::max(in_.scaled_width(), down_.scaled_width()));
    return b;
  }

  void refresh() override {
    norm_.refresh();
    post_norm_.refresh();
    in_.refresh();
    down_.refresh();
  }
  void for_each_linear(const std::function<void(Linear&)>& f) override {
    f(in_);
    f(down_);
  }

 private:
  float scale_;
  int64_t size_;
  GateKind kind_;
  Norm norm_, post_norm_;
  Linear in_, down_;
};

}  // namespace

std::unique_ptr<TrainBlock> fused_mlp_block(const Block& block, const BlockBuilder& b) {
  if (block.branches.size() != 1 || block.out_norm.kind != NormKind::none) return nullptr;
  const Branch& branch = block.branches[0];
  const auto* m = std::get_if<MlpSpec>(&branch.op);
  const bool fits =
      m != nullptr && m->gated && branch.norm.kind == NormKind::rms &&
      (branch.post_norm.kind == NormKind::none || branch.post_norm.kind == NormKind::rms) &&
      (m->activation == Activation::silu || m->activation == Activation::gelu_tanh ||
       m->activation == Activation::gelu_erf);
  if (!fits) return nullptr;
  return std::make_unique<MlpBlock>(branch, *m, b);
}

}  // namespace lm::train
