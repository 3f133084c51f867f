#include "engine/models/llama_like.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/kernels/cpu/panels.h"

namespace lm {
namespace {

// Llama 3.x GGUF files carry their RoPE scaling as a tensor of divisors.
void apply_rope_factors(const TensorMap& tensors, std::vector<double>* frequencies) {
  const auto it = tensors.find("rope_freqs.weight");
  if (it == tensors.end() || it->second.numel() != static_cast<int64_t>(frequencies->size()))
    return;
  std::vector<float> factors(frequencies->size());
  to_f32(it->second, 0, it->second.numel(), factors.data());
  for (size_t i = 0; i < factors.size(); ++i) (*frequencies)[i] /= static_cast<double>(factors[i]);
}

}  // namespace

ModelSpec describe_llama_like(const ModelConfig& c, const TensorMap& tensors, RopeKind rope) {
  ModelSpec spec;
  spec.architecture = c.architecture;
  spec.hidden_size = c.hidden_size;
  spec.vocab_size = c.vocab_size;
  spec.context_length = c.context_length;
  spec.embedding = {"token_embd.weight", "", false};
  const bool own_output = tensors.contains("output.weight") && !c.tie_embeddings.value_or(false);
  spec.output = own_output ? linear_spec(tensors, "output") : spec.embedding;
  const auto eps = static_cast<float>(c.norm_eps);
  spec.final_norm = {NormKind::rms, eps, "output_norm.weight", ""};

  std::vector<double> frequencies = rope_frequencies(c);
  apply_rope_factors(tensors, &frequencies);
  for (int64_t i = 0; i < c.n_layers; ++i) {
    const auto name = [&](const char* part) { return fmt::format("blk.{}.{}", i, part); };
    AttentionSpec a;
    a.n_heads = c.n_heads;
    a.n_kv_heads = c.n_kv_heads;
    a.head_dim = c.head_dim;
    a.qkv = {linear_spec(tensors, name("attn_q")), linear_spec(tensors, name("attn_k")),
             linear_spec(tensors, name("attn_v"))};
    a.output = linear_spec(tensors, name("attn_output"));
    a.rope = {rope, c.rope_dim, frequencies};
    a.window = c.sliding_window;
    a.scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
    MlpSpec m;
    m.size = c.ffn_size;
    m.gate = linear_spec(tensors, name("ffn_gate"));
    m.up = linear_spec(tensors, name("ffn_up"));
    m.down = linear_spec(tensors, name("ffn_down"));
    std::vector<Block> layer;
    layer.push_back({{NormKind::rms, eps, name("attn_norm.weight"), ""}, std::move(a)});
    layer.push_back({{NormKind::rms, eps, name("ffn_norm.weight"), ""}, std::move(m)});
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

const std::vector<NameRule>& llama_like_names() {
  static const std::vector<NameRule> rules = {
      {"model.embed_tokens.weight", "token_embd.weight"},
      {"model.norm.weight", "output_norm.weight"},
      {"lm_head.weight", "output.weight"},
      {"model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight"},
      {"model.layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight"},
      {"model.layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight"},
      {"model.layers.{}.self_attn.v_proj.weight", "blk.{}.attn_v.weight"},
      {"model.layers.{}.self_attn.o_proj.weight", "blk.{}.attn_output.weight"},
      {"model.layers.{}.self_attn.q_proj.bias", "blk.{}.attn_q.bias"},
      {"model.layers.{}.self_attn.k_proj.bias", "blk.{}.attn_k.bias"},
      {"model.layers.{}.self_attn.v_proj.bias", "blk.{}.attn_v.bias"},
      {"model.layers.{}.self_attn.o_proj.bias", "blk.{}.attn_output.bias"},
      {"model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight"},
      {"model.layers.{}.mlp.gate_proj.weight", "blk.{}.ffn_gate.weight"},
      {"model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight"},
      {"model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight"},
      {"model.layers.{}.mlp.gate_proj.bias", "blk.{}.ffn_gate.bias"},
      {"model.layers.{}.mlp.up_proj.bias", "blk.{}.ffn_up.bias"},
      {"model.layers.{}.mlp.down_proj.bias", "blk.{}.ffn_down.bias"},
  };
  return rules;
}

}  // namespace lm
