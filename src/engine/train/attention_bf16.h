// Attention in bf16 on matrix units: products of bf16 numbers summed in f32 (libtorch's brgemm,
// that is oneDNN's), softmax in f32, probabilities and their gradients rounded to bf16 before they
// are factors again, as FlashAttention does.
#pragma once

#include "engine/train/attention.h"

namespace lm::train {

// Whether this machine and these tensors can.
bool has_bf16_attention(const AttentionShape& shape, const at::Tensor& qkv);

// As attention_forward and attention_backward, for bf16.
void bf16_attention_forward(const AttentionShape& shape, const Batch& batch, const at::Tensor& qkv,
                            at::Tensor& out, at::Tensor& lse);
at::Tensor bf16_attention_backward(const AttentionShape& shape, const Batch& batch,
                                   const at::Tensor& qkv, const at::Tensor& out,
                                   const at::Tensor& lse, const at::Tensor& dout);

}  // namespace lm::train
