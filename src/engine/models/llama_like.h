// The decoder that Llama made common: pre-norm RMSNorm, rotary attention with grouped kv heads,
// gated SiLU MLP. Families that differ in a detail start from this description and change the
// detail.
#pragma once

#include <functional>

#include "engine/models/arch.h"

namespace lm {

ModelSpec describe_llama_like(const ModelConfig& config, const TensorMap& tensors, RopeKind rope);

// The attention and the MLP of every layer of a description, with the layer's number.
void for_each_attention(ModelSpec& spec, const std::function<void(int64_t, AttentionSpec&)>& f);
void for_each_mlp(ModelSpec& spec, const std::function<void(int64_t, MlpSpec&)>& f);

// "blk.<layer>.<part>"
std::string layer_name(int64_t layer, const char* part);

// q and k get a norm for each head before RoPE (attn_q_norm, attn_k_norm) where the file has one.
void add_qk_norms(ModelSpec& spec, const TensorMap& tensors, double eps, float offset = 0.0f);

// Hugging Face names of these families. pairs: q and k rows of GGUF files are in interleaved order.
std::vector<NameRule> llama_like_names(bool pairs);

}  // namespace lm
