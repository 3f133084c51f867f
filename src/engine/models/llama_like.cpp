#include "engine/models/llama_like.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/models/rope.h"

namespace lm {

std::string layer_name(int64_t layer, const char* part) {
  return fmt::format("blk.{}.{}", layer, part);
}

ModelSpec describe_llama_like(const ModelConfig& c, const TensorMap& tensors, RopeKind rope) {
  ModelSpec spec;
  spec.architecture = c.architecture;
  spec.hidden_size = c.hidden_size;
  spec.vocab_size = c.vocab_size;
  spec.context_length = scaled_context(c);
  spec.embedding.weight = "token_embd.weight";
  const bool own_output = tensors.contains("output.weight") && !c.tie_embeddings.value_or(false);
  spec.output = own_output ? linear_spec(tensors, "output") : spec.embedding;
  spec.final_norm = norm_spec(tensors, NormKind::rms, c.norm_eps, "output_norm");

  if (tensors.contains("cls.output.weight")) {  // a decoder that scores texts has no head for words
    spec.head.emplace();
    spec.head->pooling = Pooling::last;
    spec.head->output = linear_spec(tensors, "cls.output");
  }

  const RopeSpec turns = model_rope(rope, c, tensors);
  const Activation activation = activation_of(c.activation, Activation::silu);
  for (int64_t i = 0; i < c.n_layers; ++i) {
    const auto linear = [&](const char* part) { return linear_spec(tensors, layer_name(i, part)); };
    const auto norm = [&](const char* part) {
      return norm_spec(tensors, NormKind::rms, c.norm_eps, layer_name(i, part));
    };
    AttentionSpec a;
    a.n_heads = c.n_heads;
    a.n_kv_heads = c.n_kv_heads;
    a.head_dim = a.value_dim = c.head_dim;
    if (tensors.contains(layer_name(i, "attn_qkv.weight")))
      a.qkv = {linear("attn_qkv")};
    else
      a.qkv = {linear("attn_q"), linear("attn_k"), linear("attn_v")};
    a.output = linear("attn_output");
    a.rope = turns;
    a.window = c.sliding_window;
    a.scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
    MlpSpec m;
    m.size = c.ffn_size;
    m.activation = activation;
    m.up = linear("ffn_up");
    m.gate = linear("ffn_gate");
    m.down = linear("ffn_down");
    std::vector<Block> layer(2);
    layer[0].branches.push_back({norm("attn_norm"), std::move(a), {}, 1.0f});
    layer[1].branches.push_back({norm("ffn_norm"), std::move(m), {}, 1.0f});
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

void for_each_attention(ModelSpec& spec, const std::function<void(int64_t, AttentionSpec&)>& f) {
  for (size_t i = 0; i < spec.layers.size(); ++i)
    for (Block& block : spec.layers[i])
      for (Branch& branch : block.branches)
        if (auto* a = std::get_if<AttentionSpec>(&branch.op)) f(static_cast<int64_t>(i), *a);
}

void for_each_mlp(ModelSpec& spec, const std::function<void(int64_t, MlpSpec&)>& f) {
  for (size_t i = 0; i < spec.layers.size(); ++i)
    for (Block& block : spec.layers[i])
      for (Branch& branch : block.branches)
        if (auto* m = std::get_if<MlpSpec>(&branch.op)) f(static_cast<int64_t>(i), *m);
}

void add_qk_norms(ModelSpec& spec, const TensorMap& tensors, double eps, float offset) {
  for_each_attention(spec, [&](int64_t layer, AttentionSpec& a) {
    const auto norm = [&](const char* part) {
      if (!tensors.contains(layer_name(layer, part) + ".weight")) return NormSpec{};
      NormSpec n = norm_spec(tensors, NormKind::rms, eps, layer_name(layer, part));
      n.offset = offset;
      return n;
    };
    a.q_norm = norm("attn_q_norm");
    a.k_norm = norm("attn_k_norm");
  });
}

std::vector<NameRule> llama_like_names(bool pairs) {
  const Layout qk = pairs ? Layout::rope_rows : Layout::same;
  return {
      {"model.embed_tokens.weight", "token_embd.weight"},
      {"model.norm.weight", "output_norm.weight"},
      {"model.norm.bias", "output_norm.bias"},
      {"lm_head.weight", "output.weight"},
      {"lm_head.bias", "output.bias"},
      {"score.weight", "cls.output.weight"},
      {"model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight"},
      {"model.layers.{}.input_layernorm.bias", "blk.{}.attn_norm.bias"},
      {"model.layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight", qk},
      {"model.layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight", qk},
      {"model.layers.{}.self_attn.v_proj.weight", "blk.{}.attn_v.weight"},
      {"model.layers.{}.self_attn.qkv_proj.weight", "blk.{}.attn_qkv.weight"},
      {"model.layers.{}.self_attn.o_proj.weight", "blk.{}.attn_output.weight"},
      {"model.layers.{}.self_attn.q_proj.bias", "blk.{}.attn_q.bias", qk},
      {"model.layers.{}.self_attn.k_proj.bias", "blk.{}.attn_k.bias", qk},
      {"model.layers.{}.self_attn.v_proj.bias", "blk.{}.attn_v.bias"},
      {"model.layers.{}.self_attn.o_proj.bias", "blk.{}.attn_output.bias"},
      {"model.layers.{}.self_attn.q_norm.weight", "blk.{}.attn_q_norm.weight"},
      {"model.layers.{}.self_attn.k_norm.weight", "blk.{}.attn_k_norm.weight"},
      {"model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight"},
      {"model.layers.{}.post_attention_layernorm.bias", "blk.{}.ffn_norm.bias"},
      {"model.layers.{}.mlp.gate_proj.weight", "blk.{}.ffn_gate.weight"},
      {"model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight"},
      {"model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight"},
      {"model.layers.{}.mlp.gate_proj.bias", "blk.{}.ffn_gate.bias"},
      {"model.layers.{}.mlp.up_proj.bias", "blk.{}.ffn_up.bias"},
      {"model.layers.{}.mlp.down_proj.bias", "blk.{}.ffn_down.bias"},
  };
}

}  // namespace lm
