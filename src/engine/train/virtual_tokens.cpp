#include "engine/train/virtual_tokens.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include "engine/core/error.h"

namespace lm::train {
namespace {

// Calls f(first row) for the virtual rows of each document.
template <typename F>
void for_documents(const Batch& batch, F&& f) {
  for (int64_t d = 0; d < batch.n_documents(); ++d) f(batch.document_begin[static_cast<size_t>(d)]);
}

// Keys and values of every layer alike: their number of heads and sizes.
void check_layers(const ModelSpec& spec) {
  const AttentionSpec* first = nullptr;
  int64_t n = 0;
  for_each_branch(spec, [&](const Branch& branch) {
    const auto* a = std::get_if<AttentionSpec>(&branch.op);
    if (a == nullptr) return;
    if (first == nullptr) first = a;
    ++n;
    LM_CHECK(a->n_kv_heads == first->n_kv_heads && a->head_dim == first->head_dim &&
                 a->value_dim == a->head_dim && !a->latent && !a->fused_by_head && a->kv_from < 0,
             ErrorCode::unsupported,
             "training: prefix tuning needs layers whose keys and values are alike");
  });
  LM_CHECK(n == static_cast<int64_t>(spec.layers.size()), ErrorCode::unsupported,
           "training: prefix tuning needs one attention in each of the {} layers; there are {}",
           spec.layers.size(), n);
}

const AttentionSpec& first_attention(const ModelSpec& spec) {
  const AttentionSpec* out = nullptr;
  for_each_branch(spec, [&](const Branch& branch) {
    if (out == nullptr) out = std::get_if<AttentionSpec>(&branch.op);
  });
  LM_CHECK(out != nullptr, ErrorCode::unsupported, "training: the model has no attention");
  return *out;
}

}  // namespace

VirtualRows::VirtualRows(VirtualTokens::Kind kind, int64_t n, const ModelSpec& spec,
                         ParameterSet* parameters)
    : kind_(kind), n_(n), n_layers_(static_cast<int64_t>(spec.layers.size())) {
  if (prefix()) check_layers(spec);
  const AttentionSpec& a = first_attention(spec);
  n_heads_ = prefix() ? a.n_kv_heads : a.n_heads;
  key_width_ = a.n_kv_heads * a.head_dim;
  const int64_t width = prefix() ? n_layers_ * 2 * key_width_ : spec.hidden_size;
  parameter_ = parameters->add("virtual_tokens", at::zeros({n, width}), true);
}

VirtualTokens VirtualRows::values() const {
  VirtualTokens v;
  v.kind = kind_;
  v.n = n_;
  v.n_layers = n_layers_;
  v.n_heads = n_heads_;
  if (parameter_ == nullptr) return v;
  v.width = parameter_->value.size(1);
  const float* from = parameter_->value.const_data_ptr<float>();
  v.values.assign(from, from + parameter_->value.numel());
  return v;
}

void VirtualRows::place_rows(const Batch& batch, at::Tensor& x) const {
  for_documents(batch, [&](int64_t t) { x.slice(0, t, t + n_).copy_(parameter_->value); });
}

void VirtualRows::add_row_grads(const Batch& batch, const at::Tensor& dx) const {
  for_documents(batch, [&](int64_t t) { parameter_->grad.add_(dx.slice(0, t, t + n_)); });
}

at::Tensor VirtualRows::layer_columns(const at::Tensor& all, int64_t layer) const {
  return all.slice(1, 2 * layer * key_width_, 2 * (layer + 1) * key_width_);
}

void VirtualRows::place_keys(const Batch& batch, int64_t layer, at::Tensor& qkv) const {
  at::Tensor values = layer_columns(parameter_->value.detach(), layer);
  const at::Tensor columns = qkv.slice(1, qkv.size(1) - 2 * key_width_);
  if (recording_) {
    values.copy_(columns.slice(0, 0, n_));
    return;
  }
  for_documents(batch, [&](int64_t t) { columns.slice(0, t, t + n_).copy_(values); });
}

void VirtualRows::take_key_grads(const Batch& batch, int64_t layer, at::Tensor& dqkv) const {
  at::Tensor grad = layer_columns(parameter_->grad, layer);
  const at::Tensor columns = dqkv.slice(1, dqkv.size(1) - 2 * key_width_);
  for_documents(batch, [&](int64_t t) {
    at::Tensor rows = columns.slice(0, t, t + n_);
    grad.add_(rows);
    rows.zero_();
  });
}

at::Tensor VirtualRows::plain(int64_t layer, int64_t which) const {
  return layer_columns(parameter_->value, layer)
      .slice(1, which * key_width_, (which + 1) * key_width_)
      .view({n_, n_heads_, key_width_ / n_heads_});
}

}  // namespace lm::train
