// GPT-2 (Radford et al. 2019): learned positions, LayerNorm, fused qkv, plain GELU MLP, biases
// everywhere. Hugging Face stores the matrices of its Conv1D layers as [in, out].
#include <fmt/format.h>

#include <cmath>

#include "engine/models/arch.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  const bool transposed = !c.gguf_layout;
  const auto linear = [&](const std::string& stem) {
    return linear_spec(tensors, stem, transposed);
  };
  const auto norm = [&](const std::string& stem) {
    return norm_spec(tensors, NormKind::layer, c.norm_eps, stem);
  };
  ModelSpec spec;
  spec.architecture = c.architecture;
  spec.hidden_size = c.hidden_size;
  spec.vocab_size = c.vocab_size;
  spec.context_length = c.context_length;
  spec.embedding.weight = "token_embd.weight";
  spec.positions = "position_embd.weight";
  spec.final_norm = norm("output_norm");
  const bool own_output = tensors.contains("output.weight") &&
                          !c.tie_embeddings.value_or(!tensors.contains("output.weight"));
  spec.output = own_output ? linear_spec(tensors, "output") : spec.embedding;
  for (int64_t i = 0; i < c.n_layers; ++i) {
    const auto name = [&](const char* part) { return fmt::format("blk.{}.{}", i, part); };
    AttentionSpec a;
    a.n_heads = c.n_heads;
    a.n_kv_heads = c.n_kv_heads;
    a.head_dim = a.value_dim = c.head_dim;
    a.qkv = {linear(name("attn_qkv"))};
    a.output = linear(name("attn_output"));
    a.scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
    MlpSpec m;
    m.gated = false;
    m.activation = activation_of(c.activation, Activation::gelu_tanh);
    m.size = c.ffn_size;
    m.up = linear(name("ffn_up"));
    m.down = linear(name("ffn_down"));
    std::vector<Block> layer(2);
    layer[0].branches.push_back({norm(name("attn_norm")), std::move(a), {}, 1.0f});
    layer[1].branches.push_back({norm(name("ffn_norm")), std::move(m), {}, 1.0f});
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

}  // namespace

extern const Arch kArch_gpt2;
const Arch kArch_gpt2 = {
    "gpt2",
    {"gpt2"},
    describe,
    {
        {"transformer.wte.weight", "token_embd.weight"},
        {"transformer.wpe.weight", "position_embd.weight"},
        {"transformer.ln_f.weight", "output_norm.weight"},
        {"transformer.ln_f.bias", "output_norm.bias"},
        {"lm_head.weight", "output.weight"},
        {"transformer.h.{}.ln_1.weight", "blk.{}.attn_norm.weight"},
        {"transformer.h.{}.ln_1.bias", "blk.{}.attn_norm.bias"},
        {"transformer.h.{}.attn.c_attn.weight", "blk.{}.attn_qkv.weight", Layout::transposed},
        {"transformer.h.{}.attn.c_attn.bias", "blk.{}.attn_qkv.bias"},
        {"transformer.h.{}.attn.c_proj.weight", "blk.{}.attn_output.weight", Layout::transposed},
        {"transformer.h.{}.attn.c_proj.bias", "blk.{}.attn_output.bias"},
        {"transformer.h.{}.ln_2.weight", "blk.{}.ffn_norm.weight"},
        {"transformer.h.{}.ln_2.bias", "blk.{}.ffn_norm.bias"},
        {"transformer.h.{}.mlp.c_fc.weight", "blk.{}.ffn_up.weight", Layout::transposed},
        {"transformer.h.{}.mlp.c_fc.bias", "blk.{}.ffn_up.bias"},
        {"transformer.h.{}.mlp.c_proj.weight", "blk.{}.ffn_down.weight", Layout::transposed},
        {"transformer.h.{}.mlp.c_proj.bias", "blk.{}.ffn_down.bias"},
    },
    "GPT-2"};

}  // namespace lm
