// x + output(attention(rope(qkv(norm(x))))) with what the usual decoders have: grouped heads,
// biases, norms of q and k, a window, capped scores, a norm behind.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/ScalarType.h>

#include "engine/train/attention.h"
#include "engine/train/block.h"
#include "engine/train/rows.h"

namespace lm::train {
namespace {

enum Kept { kRstd, kU, kQkv, kOut, kLse, kRaw, kHeadRstd, kResult, kPostRstd };

class AttentionBlock : public TrainBlock {
 public:
  AttentionBlock(const Branch& branch, const AttentionSpec& a, const BlockBuilder& b)
      : scale_(branch.scale),
        rope_(a.rope),
        layer_(b.layer),
        shape_{a.n_heads, a.n_kv_heads, a.head_dim, a.window, a.softcap, a.scale},
        norm_(branch.norm, b.hidden, b.reader, b.parameters, b.role),
        post_norm_(branch.post_norm, b.hidden, b.reader, b.parameters, b.role) {
    const int64_t q = a.n_heads * a.head_dim, k = a.n_kv_heads * a.head_dim;
    const std::vector<int64_t> rows =
        a.qkv.size() == 1 ? std::vector<int64_t>{q + 2 * k} : std::vector<int64_t>{q, k, k};
    qkv_ = Linear(a.qkv, rows, b.hidden, b.reader, b.compute, b.parameters, b.role);
    q_norm_ = Norm(a.q_norm, a.head_dim, b.reader, b.parameters, b.role);
    k_norm_ = Norm(a.k_norm, a.head_dim, b.reader, b.parameters, b.role);
    output_ = Linear({a.output}, {b.hidden}, q, b.reader, b.compute, b.parameters, b.role);
  }

  at::Tensor forward(const at::Tensor& x, const PassContext& pass, Saved* saved) const override {
    const int64_t t = x.size(0);
    at::Tensor rstd = at::empty({t}, at::kFloat);
    at::Tensor in = normed(x, &rstd);
    at::Tensor qkv = qkv_.forward(in);
    Saved kept(9);
    if (q_norm_.exists()) {
      kept[kRaw] = qkv.slice(1, 0, shape_.q_width() + shape_.n_kv_heads * shape_.head_dim).clone();
      kept[kHeadRstd] = at::empty({shape_.n_heads + shape_.n_kv_heads, t}, at::kFloat);
      norm_heads(kept[kRaw], qkv, kept[kHeadRstd]);
    }
    rotate(qkv, pass, 1.0f);
    if (pass.virtual_rows.prefix()) pass.virtual_rows.place_keys(pass.batch, layer_, qkv);
    at::Tensor out = output_.input_buffer(t);
    at::Tensor lse = at::empty({shape_.n_heads, t}, at::kFloat);
    attention_forward(shape_, pass.batch, qkv, out, lse);
    output_.adapt_input(out);
    at::Tensor y;
    if (post_norm_.exists()) {
      kept[kResult] = output_.forward(out);
      kept[kPostRstd] = at::empty({t}, at::kFloat);
      y = at::empty_like(kept[kResult]);
      post_norm_.forward(kept[kResult], y, &kept[kPostRstd]);
      y = y.mul_(scale_).add_(x);
    } else {
      y = output_.forward_add(out, x, scale_);
    }
    if (saved != nullptr) {
      kept[kRstd] = rstd;
      if (qkv_.rank() > 0) kept[kU] = in.slice(1, qkv_.in()).clone();
      kept[kQkv] = qkv;
      kept[kOut] = out;
      kept[kLse] = lse;
      *saved = std::move(kept);
    }
    return y;
  }

  at::Tensor backward(const at::Tensor& x, at::Tensor dy, const PassContext& pass, Saved& saved,
                      bool need_dx) const override {
    at::Tensor df = scale_ == 1.0f ? dy : dy * scale_;
    if (post_norm_.exists()) {
      at::Tensor d = at::zeros_like(saved[kResult]);
      post_norm_.backward(df, saved[kResult], saved[kPostRstd], d);
      df = d;
    }
    at::Tensor d_out = output_.input_grad(df, true);
    output_.param_grads(saved[kOut], df, output_.adapter_columns(d_out));
    output_.finish_input_grad(d_out);
    at::Tensor dqkv = attention_backward(shape_, pass.batch, saved[kQkv],
                                         saved[kOut].slice(1, 0, shape_.q_width()), saved[kLse],
                                         d_out.slice(1, 0, shape_.q_width()));
    saved[kQkv] = saved[kOut] = at::Tensor();
    if (pass.virtual_rows.prefix()) pass.virtual_rows.take_key_grads(pass.batch, layer_, dqkv);
    rotate(dqkv, pass, -1.0f);
    if (q_norm_.exists()) dqkv = heads_backward(dqkv, saved);
    at::Tensor in = qkv_.input_buffer(x.size(0));
    norm_.forward(x, in, nullptr);
    if (qkv_.rank() > 0) in.slice(1, qkv_.in()).copy_(saved[kU]);
    at::Tensor d_in = qkv_.input_grad(dqkv, need_dx || norm_.trained());
    qkv_.param_grads(in, dqkv, qkv_.adapter_columns(d_in));
    if (!need_dx && !norm_.trained()) return {};
    qkv_.finish_input_grad(d_in);
    norm_.backward(d_in, x, saved[kRstd], dy);
    return dy;
  }

  BlockBytes bytes_per_token() const override {
    const int64_t e = static_cast<int64_t>(c10::elementSize(qkv_.compute()));
    const int64_t width = shape_.width(), out = output_.in() + output_.rank();
    BlockBytes b;
    b.kept = e * (width + out + qkv_.rank()) + 4 * (shape_.n_heads + 1);
    if (q_norm_.exists()) b.kept += e * width + 4 * (shape_.n_heads + shape_.n_kv_heads);
    if (post_norm_.exists()) b.kept += e * output_.out() + 4;
    // The gradients of the result, of out, qkv and the input, and the input made again.
    b.scratch = e * (output_.out() + out + width + 2 * (qkv_.in() + qkv_.rank()) +
                     std::max(qkv_.scaled_width(), output_.scaled_width()));
    return b;
  }

  void refresh() override {
    for (Norm* norm : {&norm_, &q_norm_, &k_norm_, &post_norm_}) norm->refresh();
    qkv_.refresh();
    output_.refresh();
  }
  void for_each_linear(const std::function<void(Linear&)>& f) override {
    f(qkv_);
    f(output_);
  }

 private:
  at::Tensor normed(const at::Tensor& x, at::Tensor* rstd) const {
    at::Tensor in = qkv_.input_buffer(x.size(0));
    norm_.forward(x, in, rstd);
    qkv_.adapt_input(in);
    return in;
  }

  // Calls f(norm, column, row of the list of heads) for each head of q and k.
  template <typename F>
  void for_heads(F&& f) const {
    for (int64_t h = 0; h < shape_.n_heads + shape_.n_kv_heads; ++h)
      f(h < shape_.n_heads ? q_norm_ : k_norm_, h * shape_.head_dim, h);
  }
  void norm_heads(const at::Tensor& raw, at::Tensor& qkv, const at::Tensor& rstd) const {
    for_heads([&](const Norm& norm, int64_t at, int64_t h) {
      at::Tensor to = qkv.slice(1, at, at + shape_.head_dim), r = rstd[h];
      norm.forward(raw.slice(1, at, at + shape_.head_dim), to, &r);
    });
  }
  at::Tensor heads_backward(const at::Tensor& dqkv, const Saved& saved) const {
    at::Tensor out = dqkv.clone();
    for_heads([&](const Norm& norm, int64_t at, int64_t h) {
      at::Tensor to = out.slice(1, at, at + shape_.head_dim).zero_();
      norm.backward(dqkv.slice(1, at, at + shape_.head_dim),
                    saved[kRaw].slice(1, at, at + shape_.head_dim), saved[kHeadRstd][h], to);
    });
    return out;
  }

  void rotate(at::Tensor& qkv, const PassContext& pass, float sign) const {
    if (rope_.kind == RopeKind::none) return;
    const RopeTable& table = pass.ropes.get(rope_, pass.batch);
    const int64_t heads = shape_.n_heads + shape_.n_kv_heads;
    by_type(qkv, [&]<typename T>() {
      const auto& k = row_kernels<T>(train_kernels());
      for_rows(qkv.size(0), heads * shape_.head_dim, [&](int64_t begin, int64_t end) {
        k.rope(mutable_rows_of<T>(qkv) + rope_.offset, qkv.stride(0), heads, shape_.head_dim,
               rope_.dim, rope_.kind == RopeKind::half, table.cos.const_data_ptr<float>(),
               table.sin.const_data_ptr<float>(), table.at, sign, begin, end);
      });
    });
  }

  float scale_;
  RopeSpec rope_;
  int64_t layer_;
  AttentionShape shape_;
  Norm norm_, q_norm_, k_norm_, post_norm_;
  Linear qkv_, output_;
};

bool is_rms_or_none(const NormSpec& n) {
  return n.kind == NormKind::none || n.kind == NormKind::rms;
}

}  // namespace

std::unique_ptr<TrainBlock> fused_attention_block(const Block& block, const BlockBuilder& b) {
  if (block.branches.size() != 1 || block.out_norm.kind != NormKind::none) return nullptr;
  const Branch& branch = block.branches[0];
  const auto* a = std::get_if<AttentionSpec>(&branch.op);
  if (a == nullptr || branch.norm.kind != NormKind::rms || !is_rms_or_none(branch.post_norm) ||
      a->latent || a->fused_by_head || a->value_dim != a->head_dim || a->cross || a->kv_from >= 0 ||
      !a->causal || a->n_sink > 0 || !a->position_bias.empty() ||
      a->result_norm.kind != NormKind::none || a->norm_whole)
    return nullptr;
  for (const NormSpec* n : {&a->q_norm, &a->k_norm})
    if (!is_rms_or_none(*n) ||
        (n->kind == NormKind::rms && b.reader.tensor(n->weight).numel() != a->head_dim))
      return nullptr;
  if (a->q_norm.kind != a->k_norm.kind) return nullptr;
  return std::make_unique<AttentionBlock>(branch, *a, b);
}

}  // namespace lm::train
