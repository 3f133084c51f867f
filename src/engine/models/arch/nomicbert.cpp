// nomic-embed-text: BERT with rotary positions and a gated MLP, without biases.
#include <cmath>

#include "engine/models/llama_like.h"
#include "engine/models/rope.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  const auto norm = [&](const std::string& stem) {
    return norm_spec(tensors, NormKind::layer, c.norm_eps, stem);
  };
  ModelConfig plain = c;
  plain.activation = "silu";
  ModelSpec spec = describe_llama_like(plain, tensors, RopeKind::half);
  spec.final_norm = {};
  spec.output.reset();
  spec.embedding_norm = norm("token_embd_norm");
  if (tensors.contains("token_types.weight")) spec.token_types = "token_types.weight";
  spec.pooling = Pooling::mean;
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    const auto layer = static_cast<int64_t>(i);
    spec.layers[i][0].branches[0].norm = spec.layers[i][1].branches[0].norm = {};
    spec.layers[i][0].out_norm = norm(layer_name(layer, "attn_output_norm"));
    spec.layers[i][1].out_norm = norm(layer_name(layer, "layer_output_norm"));
  }
  for_each_attention(spec, [](int64_t, AttentionSpec& a) { a.causal = false; });
  return spec;
}

}  // namespace

extern const Arch kArch_nomicbert;
const Arch kArch_nomicbert = {
    "nomic-bert",
    {"nomic_bert"},
    describe,
    {
        {"embeddings.word_embeddings.weight", "token_embd.weight"},
        {"embeddings.token_type_embeddings.weight", "token_types.weight"},
        {"emb_ln.weight", "token_embd_norm.weight"},
        {"emb_ln.bias", "token_embd_norm.bias"},
        {"encoder.layers.{}.attn.Wqkv.weight", "blk.{}.attn_qkv.weight"},
        {"encoder.layers.{}.attn.Wqkv.bias", "blk.{}.attn_qkv.bias"},
        {"encoder.layers.{}.attn.out_proj.weight", "blk.{}.attn_output.weight"},
        {"encoder.layers.{}.attn.out_proj.bias", "blk.{}.attn_output.bias"},
        {"encoder.layers.{}.norm1.weight", "blk.{}.attn_output_norm.weight"},
        {"encoder.layers.{}.norm1.bias", "blk.{}.attn_output_norm.bias"},
        {"encoder.layers.{}.mlp.fc12.weight", "blk.{}.ffn_gate.weight"},
        {"encoder.layers.{}.mlp.fc11.weight", "blk.{}.ffn_up.weight"},
        {"encoder.layers.{}.mlp.fc2.weight", "blk.{}.ffn_down.weight"},
        {"encoder.layers.{}.norm2.weight", "blk.{}.layer_output_norm.weight"},
        {"encoder.layers.{}.norm2.bias", "blk.{}.layer_output_norm.bias"},
    },
    "nomic-embed-text"};

}  // namespace lm
