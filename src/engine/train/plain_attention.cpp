#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/logical_or.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>

#include "engine/core/error.h"
#include "engine/train/plain_ops.h"

namespace lm::train {
namespace {

// [T, heads, D] with the pairs of each head turned.
at::Tensor rotated(const at::Tensor& x, const RopeSpec& rope, const at::Tensor& cos,
                   const at::Tensor& sin) {
  const int64_t end = rope.offset + rope.dim, d = x.size(2);
  const at::Tensor part = x.slice(2, rope.offset, end).to(at::kFloat);
  at::Tensor turned;
  if (rope.kind == RopeKind::half) {
    const at::Tensor a = part.slice(2, 0, rope.dim / 2), b = part.slice(2, rope.dim / 2);
    turned = at::cat(std::vector<at::Tensor>{a * cos - b * sin, b * cos + a * sin}, 2);
  } else {
    const at::Tensor a = part.slice(2, 0, rope.dim, 2), b = part.slice(2, 1, rope.dim, 2);
    turned = at::stack(std::vector<at::Tensor>{a * cos - b * sin, b * cos + a * sin}, 3).flatten(2);
  }
  return at::cat(std::vector<at::Tensor>{x.slice(2, 0, rope.offset), turned.to(x.scalar_type()),
                                         x.slice(2, end, d)},
                 2);
}

class PlainAttention : public PlainOp {
 public:
  PlainAttention(const AttentionSpec& a, const BlockBuilder& b) : a_(a), layer_(b.layer) {
    LM_CHECK(!a.latent && !a.cross && a.kv_from < 0 && a.position_bias.empty(),
             ErrorCode::unsupported,
             "training: latent attention, cross-attention, shared keys and position biases are not "
             "supported; expected a decoder with plain attention");
    const int64_t q = a.n_heads * a.head_dim, k = a.n_kv_heads * a.head_dim,
                  v = a.n_kv_heads * a.value_dim;
    const std::vector<int64_t> rows =
        a.qkv.size() == 1 ? std::vector<int64_t>{q + k + v} : std::vector<int64_t>{q, k, v};
    qkv_ = Linear(a.qkv, rows, b.hidden, b.reader, b.compute, b.parameters, b.role);
    output_ = Linear({a.output}, {b.hidden}, a.n_heads * a.value_dim, b.reader, b.compute,
                     b.parameters, b.role);
    q_norm_ = head_norm(a.q_norm, a.n_heads, b);
    k_norm_ = head_norm(a.k_norm, a.n_kv_heads, b);
    result_norm_ = Norm(a.result_norm, a.n_heads * a.value_dim, b.reader, b.parameters, b.role);
  }

  at::Tensor apply(const at::Tensor& x, const PassContext& pass) const override {
    const int64_t t = x.size(0);
    at::Tensor q, k, v;
    split(qkv_.plain(x), &q, &k, &v);
    q = normed(q_norm_, q);
    k = normed(k_norm_, k);
    if (a_.rope.kind != RopeKind::none) {
      const RopeTable& table = pass.ropes.get(a_.rope, pass.batch);
      const std::vector<int64_t> rows(table.at, table.at + t);
      const at::Tensor at = at::tensor(rows, at::kLong);
      const at::Tensor cos = table.cos.index_select(0, at).unsqueeze(1),
                       sin = table.sin.index_select(0, at).unsqueeze(1);
      q = rotated(q, a_.rope, cos, sin);
      k = rotated(k, a_.rope, cos, sin);
    }
    std::vector<at::Tensor> parts;
    for (int64_t d = 0; d < pass.batch.n_documents(); ++d) {
      const int64_t begin = pass.batch.document_begin[static_cast<size_t>(d)],
                    end = pass.batch.document_begin[static_cast<size_t>(d) + 1];
      parts.push_back(attend(q.slice(0, begin, end), with_prefix(k.slice(0, begin, end), pass, 0),
                             with_prefix(v.slice(0, begin, end), pass, 1)));
    }
    return output_.plain(result_norm_.plain(at::cat(parts, 0)));
  }

  void refresh() override {
    qkv_.refresh();
    output_.refresh();
    for (Norm* norm : {&q_norm_, &k_norm_, &result_norm_}) norm->refresh();
  }
  void for_each_linear(const std::function<void(Linear&)>& f) override {
    f(qkv_);
    f(output_);
  }

 private:
  static Norm head_norm(const NormSpec& spec, int64_t heads, const BlockBuilder& b) {
    if (spec.kind == NormKind::none) return {};
    LM_CHECK(spec.weight.empty() || b.reader.has(spec.weight), ErrorCode::unsupported,
             "training: norms with a tensor for each head are not supported");
    const int64_t n = spec.weight.empty() ? 0 : b.reader.tensor(spec.weight).numel();
    return Norm(spec, n > 0 ? n : heads, b.reader, b.parameters, b.role);
  }

  // Keys (which 0) or values (1) of a document, those of its virtual tokens in their place.
  at::Tensor with_prefix(const at::Tensor& x, const PassContext& pass, int64_t which) const {
    if (!pass.virtual_rows.prefix()) return x;
    const at::Tensor rows = pass.virtual_rows.plain(layer_, which);
    if (pass.virtual_rows.recording()) {
      rows.detach().copy_(x);
      return x;
    }
    return at::cat(std::vector<at::Tensor>{rows.to(x.scalar_type()), x.slice(0, rows.size(0))}, 0);
  }

  // A norm over each head, or over all of them.
  at::Tensor normed(const Norm& norm, const at::Tensor& x) const {
    if (!norm.exists()) return x;
    if (a_.norm_whole) return norm.plain(x.flatten(1)).view(x.sizes());
    return norm.plain(x);
  }

  void split(const at::Tensor& all, at::Tensor* q, at::Tensor* k, at::Tensor* v) const {
    const int64_t t = all.size(0), d = a_.head_dim, dv = a_.value_dim;
    if (a_.fused_by_head) {
      const at::Tensor heads = all.view({t, a_.n_heads, 2 * d + dv});
      *q = heads.slice(2, 0, d);
      *k = heads.slice(2, d, 2 * d);
      *v = heads.slice(2, 2 * d);
      return;
    }
    const int64_t nq = a_.n_heads * d, nk = a_.n_kv_heads * d;
    *q = all.slice(1, 0, nq).view({t, a_.n_heads, d});
    *k = all.slice(1, nq, nq + nk).view({t, a_.n_kv_heads, d});
    *v = all.slice(1, nq + nk).view({t, a_.n_kv_heads, dv});
  }

  // One document: [L, heads, D] -> [L, heads * DV].
  at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) const {
    const int64_t n = q.size(0), group = a_.n_heads / a_.n_kv_heads;
    const auto by_head = [&](const at::Tensor& x, int64_t repeat) {
      return x.transpose(0, 1).to(at::kFloat).repeat_interleave(repeat, 0);
    };
    at::Tensor scores = at::matmul(by_head(q, 1), by_head(k, group).transpose(1, 2)) *
                        static_cast<double>(a_.scale);
    if (a_.softcap > 0) {
      const double cap = static_cast<double>(a_.softcap);
      scores = at::tanh(scores / cap) * cap;
    }
    const at::Tensor i = at::arange(n, at::kLong).unsqueeze(1), j = at::arange(n, at::kLong);
    at::Tensor seen = a_.causal ? j <= i : (j - i).abs() <= n;
    if (a_.window > 0) {
      const at::Tensor near = a_.causal ? j > i - a_.window : (j - i).abs() <= a_.window;
      seen = at::logical_and(seen, at::logical_or(near, j < a_.n_sink));
    }
    scores = scores.masked_fill(seen.logical_not(), -INFINITY);
    const at::Tensor out = at::matmul(at::softmax(scores, -1), by_head(v, group));
    return out.transpose(0, 1).reshape({n, a_.n_heads * a_.value_dim}).to(q.scalar_type());
  }

  AttentionSpec a_;
  int64_t layer_;
  Linear qkv_, output_;
  Norm q_norm_, k_norm_, result_norm_;
};

}  // namespace

std::unique_ptr<PlainOp> plain_op(const AttentionSpec& spec, const BlockBuilder& b) {
  return std::make_unique<PlainAttention>(spec, b);
}

}  // namespace lm::train
