// BERT and its kin (MiniLM, BGE, E5; RoBERTa and XLM-R, whose positions begin at row 2): norms
// after each residual, learned positions, token types, plain GELU MLP, every token sees all others.
#include <cmath>

#include "engine/models/llama_like.h"

namespace lm {
namespace {

// The classifier of BERT is a matrix on the pooler's output; RoBERTa's has both as one module.
std::optional<HeadSpec> head(const TensorMap& tensors) {
  if (!tensors.contains("cls.output.weight")) return std::nullopt;
  HeadSpec h;
  if (tensors.contains("cls.weight")) h.dense = linear_spec(tensors, "cls");
  h.output = linear_spec(tensors, "cls.output");
  return h;
}

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  const bool offset = !c.gguf_layout && c.architecture != "bert";
  const auto norm = [&](const std::string& stem) {
    return norm_spec(tensors, NormKind::layer, c.norm_eps, stem);
  };
  ModelSpec spec;
  spec.architecture = c.architecture;
  spec.hidden_size = c.hidden_size;
  spec.vocab_size = c.vocab_size;
  spec.position_offset = offset ? 2 : 0;
  spec.context_length = c.context_length - spec.position_offset;
  spec.embedding.weight = "token_embd.weight";
  spec.positions = "position_embd.weight";
  if (tensors.contains("token_types.weight")) spec.token_types = "token_types.weight";
  spec.embedding_norm = norm("token_embd_norm");
  spec.pooling = Pooling::mean;
  spec.head = head(tensors);
  for (int64_t i = 0; i < c.n_layers; ++i) {
    const auto linear = [&](const char* part) { return linear_spec(tensors, layer_name(i, part)); };
    AttentionSpec a;
    a.n_heads = c.n_heads;
    a.n_kv_heads = c.n_kv_heads;
    a.head_dim = a.value_dim = c.head_dim;
    a.causal = false;
    a.qkv = {linear("attn_q"), linear("attn_k"), linear("attn_v")};
    a.output = linear("attn_output");
    a.scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
    MlpSpec m;
    m.gated = false;
    m.activation = activation_of(c.activation, Activation::gelu_erf);
    m.size = c.ffn_size;
    m.up = linear("ffn_up");
    m.down = linear("ffn_down");
    std::vector<Block> layer(2);
    layer[0].branches.push_back({{}, std::move(a), {}, 1.0f});
    layer[0].out_norm = norm(layer_name(i, "attn_output_norm"));
    layer[1].branches.push_back({{}, std::move(m), {}, 1.0f});
    layer[1].out_norm = norm(layer_name(i, "layer_output_norm"));
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

}  // namespace

extern const Arch kArch_bert;
const Arch kArch_bert = {
    "bert",
    {"bert", "roberta", "xlm-roberta", "camembert"},
    describe,
    {
        {"embeddings.word_embeddings.weight", "token_embd.weight"},
        {"embeddings.position_embeddings.weight", "position_embd.weight"},
        {"embeddings.token_type_embeddings.weight", "token_types.weight"},
        {"embeddings.LayerNorm.weight", "token_embd_norm.weight"},
        {"embeddings.LayerNorm.bias", "token_embd_norm.bias"},
        {"encoder.layer.{}.attention.self.query.weight", "blk.{}.attn_q.weight"},
        {"encoder.layer.{}.attention.self.query.bias", "blk.{}.attn_q.bias"},
        {"encoder.layer.{}.attention.self.key.weight", "blk.{}.attn_k.weight"},
        {"encoder.layer.{}.attention.self.key.bias", "blk.{}.attn_k.bias"},
        {"encoder.layer.{}.attention.self.value.weight", "blk.{}.attn_v.weight"},
        {"encoder.layer.{}.attention.self.value.bias", "blk.{}.attn_v.bias"},
        {"encoder.layer.{}.attention.output.dense.weight", "blk.{}.attn_output.weight"},
        {"encoder.layer.{}.attention.output.dense.bias", "blk.{}.attn_output.bias"},
        {"encoder.layer.{}.attention.output.LayerNorm.weight", "blk.{}.attn_output_norm.weight"},
        {"encoder.layer.{}.attention.output.LayerNorm.bias", "blk.{}.attn_output_norm.bias"},
        {"encoder.layer.{}.intermediate.dense.weight", "blk.{}.ffn_up.weight"},
        {"encoder.layer.{}.intermediate.dense.bias", "blk.{}.ffn_up.bias"},
        {"encoder.layer.{}.output.dense.weight", "blk.{}.ffn_down.weight"},
        {"encoder.layer.{}.output.dense.bias", "blk.{}.ffn_down.bias"},
        {"encoder.layer.{}.output.LayerNorm.weight", "blk.{}.layer_output_norm.weight"},
        {"encoder.layer.{}.output.LayerNorm.bias", "blk.{}.layer_output_norm.bias"},
        {"pooler.dense.weight", "cls.weight"},
        {"pooler.dense.bias", "cls.bias"},
        {"classifier.weight", "cls.output.weight"},
        {"classifier.bias", "cls.output.bias"},
        {"classifier.dense.weight", "cls.weight"},
        {"classifier.dense.bias", "cls.bias"},
        {"classifier.out_proj.weight", "cls.output.weight"},
        {"classifier.out_proj.bias", "cls.output.bias"},
    },
    "BERT, MiniLM, BGE, E5, RoBERTa, XLM-R"};

}  // namespace lm
