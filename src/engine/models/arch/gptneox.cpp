// GPT-NeoX and Pythia: LayerNorm, biases, plain GELU MLP, rotation of a part of each head,
// attention and MLP in parallel. Hugging Face keeps q, k and v of each head together.
#include "engine/models/llama_like.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec = describe_llama_like(c, tensors, RopeKind::half);
  spec.final_norm.kind = NormKind::layer;
  if (spec.output->weight.empty()) spec.output = linear_spec(tensors, "output");
  const bool parallel =
      c.source->flag("use_parallel_residual", "use_parallel_residual").value_or(true);
  const Activation activation = activation_of(c.activation, Activation::gelu_erf);
  for (auto& layer : spec.layers) {
    for (Block& block : layer) block.branches[0].norm.kind = NormKind::layer;
    std::get<AttentionSpec>(layer[0].branches[0].op).fused_by_head = !c.gguf_layout;
    auto& m = std::get<MlpSpec>(layer[1].branches[0].op);
    m.gated = false;
    m.activation = activation;
    if (!parallel) continue;
    layer[0].branches.push_back(std::move(layer[1].branches[0]));
    layer.pop_back();
  }
  return spec;
}

}  // namespace

extern const Arch kArch_gptneox;
const Arch kArch_gptneox = {
    "gptneox",
    {"gpt_neox"},
    describe,
    {
        {"gpt_neox.embed_in.weight", "token_embd.weight"},
        {"gpt_neox.final_layer_norm.weight", "output_norm.weight"},
        {"gpt_neox.final_layer_norm.bias", "output_norm.bias"},
        {"embed_out.weight", "output.weight"},
        {"gpt_neox.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight"},
        {"gpt_neox.layers.{}.input_layernorm.bias", "blk.{}.attn_norm.bias"},
        {"gpt_neox.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight"},
        {"gpt_neox.layers.{}.post_attention_layernorm.bias", "blk.{}.ffn_norm.bias"},
        {"gpt_neox.layers.{}.attention.query_key_value.weight", "blk.{}.attn_qkv.weight",
         Layout::fused_heads},
        {"gpt_neox.layers.{}.attention.query_key_value.bias", "blk.{}.attn_qkv.bias",
         Layout::fused_heads},
        {"gpt_neox.layers.{}.attention.dense.weight", "blk.{}.attn_output.weight"},
        {"gpt_neox.layers.{}.attention.dense.bias", "blk.{}.attn_output.bias"},
        {"gpt_neox.layers.{}.mlp.dense_h_to_4h.weight", "blk.{}.ffn_up.weight"},
        {"gpt_neox.layers.{}.mlp.dense_h_to_4h.bias", "blk.{}.ffn_up.bias"},
        {"gpt_neox.layers.{}.mlp.dense_4h_to_h.weight", "blk.{}.ffn_down.weight"},
        {"gpt_neox.layers.{}.mlp.dense_4h_to_h.bias", "blk.{}.ffn_down.bias"},
    },
    "GPT-NeoX, Pythia"};

}  // namespace lm
