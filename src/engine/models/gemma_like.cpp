#include "engine/models/gemma_like.h"

#include <cmath>

#include "engine/models/llama_like.h"

namespace lm {

ModelSpec describe_gemma(const ModelConfig& c, const TensorMap& tensors) {
  ModelConfig config = c;
  if (config.activation.empty() || config.activation == "gelu")
    config.activation = "gelu_pytorch_tanh";  // Gemma 1 files say gelu and mean this
  if (!config.tie_embeddings) config.tie_embeddings = true;
  config.rope_scaling.type = "none";  // Gemma 3 sets its own
  ModelSpec spec = describe_llama_like(config, tensors, RopeKind::half);
  const float offset = c.gguf_layout ? 0.0f : 1.0f;
  spec.embedding_scale = std::sqrt(static_cast<float>(c.hidden_size));
  spec.final_norm.offset = offset;
  const double scalar =
      c.source->real("query_pre_attn_scalar", "").value_or(static_cast<double>(c.head_dim));
  for (size_t i = 0; i < spec.layers.size(); ++i)
    for (Block& block : spec.layers[i]) {
      Branch& branch = block.branches[0];
      branch.norm.offset = offset;
      auto* a = std::get_if<AttentionSpec>(&branch.op);
      if (a != nullptr) {
        a->window = 0;  // Gemma 2 and 3 set their own
        a->scale = static_cast<float>(
            c.source->real("", "attention.scale").value_or(1.0 / std::sqrt(scalar)));
      }
      const std::string post = layer_name(static_cast<int64_t>(i),
                                          a != nullptr ? "post_attention_norm" : "post_ffw_norm");
      if (!tensors.contains(post + ".weight")) continue;
      branch.post_norm = norm_spec(tensors, NormKind::rms, c.norm_eps, post);
      branch.post_norm.offset = offset;
    }
  return spec;
}

std::vector<NameRule> gemma_names() {
  constexpr Layout kNorm = Layout::plus_one;
  return with_names(
      {
          {"model.norm.weight", "output_norm.weight", kNorm},
          {"model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight", kNorm},
          {"model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight", kNorm},
          {"model.layers.{}.self_attn.q_norm.weight", "blk.{}.attn_q_norm.weight", kNorm},
          {"model.layers.{}.self_attn.k_norm.weight", "blk.{}.attn_k_norm.weight", kNorm},
      },
      llama_like_names(false));
}

std::vector<NameRule> gemma_post_norm_names() {
  constexpr Layout kNorm = Layout::plus_one;
  return with_names(
      {
          {"model.layers.{}.post_attention_layernorm.weight", "blk.{}.post_attention_norm.weight",
           kNorm},
          {"model.layers.{}.pre_feedforward_layernorm.weight", "blk.{}.ffn_norm.weight", kNorm},
          {"model.layers.{}.post_feedforward_layernorm.weight", "blk.{}.post_ffw_norm.weight",
           kNorm},
      },
      gemma_names());
}

}  // namespace lm
