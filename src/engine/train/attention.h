// Causal attention over documents of different lengths, forward and backward, without a mask:
// tiles of queries meet only the keys that they may see (Dao et al. 2022, FlashAttention, without
// its inner loop over keys: a tile's scores of one document fit the cache).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "engine/train/batch.h"

namespace lm::train {

struct AttentionShape {
  int64_t n_heads = 0, n_kv_heads = 0, head_dim = 0;
  int64_t window = 0;  // keys visible including itself; 0: all before
  float softcap = 0.0f, scale = 1.0f;
  int64_t q_width() const { return n_heads * head_dim; }
  int64_t width() const { return (n_heads + 2 * n_kv_heads) * head_dim; }
};

// qkv [T, width], f32 or bf16: all q, all k, all v, rotated. Writes out [T, q_width] (rows may be
// further apart) and lse [n_heads, T], f32. The result of a document depends on nothing else.
void attention_forward(const AttentionShape& shape, const Batch& batch, const at::Tensor& qkv,
                       at::Tensor& out, at::Tensor& lse);
// The gradient of qkv from that of out.
at::Tensor attention_backward(const AttentionShape& shape, const Batch& batch,
                              const at::Tensor& qkv, const at::Tensor& out, const at::Tensor& lse,
                              const at::Tensor& dout);

}  // namespace lm::train
