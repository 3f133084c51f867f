// T5 and Flan-T5 (Raffel et al. 2020): encoder and decoder with relative position bias (one table
// for all layers of a stack), RMSNorm before each op, scores without scale.
#include <fmt/format.h>

#include <cmath>

#include "engine/core/error.h"
#include "engine/models/arch.h"

namespace lm {
namespace {

struct Stack {
  const ModelConfig& c;
  const TensorMap& tensors;
  std::string prefix;  // "enc." or "dec."
  bool decoder;

  std::string name(int64_t layer, const char* part) const {
    return fmt::format("{}blk.{}.{}", prefix, layer, part);
  }
  NormSpec norm(const std::string& stem) const {
    return norm_spec(tensors, NormKind::rms, c.norm_eps, stem);
  }

  AttentionSpec attention(int64_t layer, const char* kind, bool cross) const {
    const auto linear = [&](const char* part) {
      return linear_spec(tensors, name(layer, fmt::format("{}_{}", kind, part).c_str()));
    };
    AttentionSpec a;
    a.n_heads = a.n_kv_heads = c.n_heads;
    a.head_dim = a.value_dim = c.head_dim;
    a.causal = decoder;
    a.cross = cross;
    a.qkv = {linear("q")};
    (cross ? a.kv : a.qkv).push_back(linear("k"));
    (cross ? a.kv : a.qkv).push_back(linear("v"));
    a.output = linear("o");
    if (cross) return a;
    a.position_bias = name(0, "attn_rel_b.weight");
    a.n_buckets =
        c.source->integer("relative_attention_num_buckets", "attention.relative_buckets_count")
            .value_or(32);
    a.max_distance = c.source->integer("relative_attention_max_distance", "").value_or(128);
    LM_CHECK(
        a.n_buckets >= 4 && a.n_buckets <= 4096 && a.max_distance > a.n_buckets / 2,
        ErrorCode::bad_file,
        "{}: {} buckets of relative positions up to {}; expected 4..4096, and more than half as "
        "many positions",
        c.source->where(), a.n_buckets, a.max_distance);
    return a;
  }

  MlpSpec mlp(int64_t layer) const {
    const auto linear = [&](const char* part) { return linear_spec(tensors, name(layer, part)); };
    MlpSpec m;
    m.size = c.ffn_size;
    m.gated = tensors.contains(name(layer, "ffn_gate.weight"));
    const std::string kind = c.source->text("feed_forward_proj", "").value_or("");
    // "gated-gelu" means the tanh form
    m.activation =
        kind == "gated-gelu" || (kind.empty() && m.gated)
            ? Activation::gelu_tanh
            : activation_of(kind.starts_with("gated-") ? kind.substr(6) : kind, Activation::relu);
    m.gate = linear("ffn_gate");
    m.up = linear("ffn_up");
    m.down = linear("ffn_down");
    return m;
  }

  ModelSpec describe(int64_t n_layers) const {
    ModelSpec spec;
    spec.architecture = c.architecture;
    spec.hidden_size = c.hidden_size;
    spec.vocab_size = c.vocab_size;
    spec.context_length = c.context_length;
    spec.embedding.weight = "token_embd.weight";
    spec.pooling = Pooling::mean;
    spec.final_norm = norm(prefix + "output_norm");
    for (int64_t i = 0; i < n_layers; ++i) {
      std::vector<Block> layer(decoder ? 3 : 2);
      layer[0].branches.push_back(
          {norm(name(i, "attn_norm")), attention(i, "attn", false), {}, 1.0f});
      if (decoder)
        layer[1].branches.push_back(
            {norm(name(i, "cross_attn_norm")), attention(i, "cross_attn", true), {}, 1.0f});
      layer.back().branches.push_back({norm(name(i, "ffn_norm")), mlp(i), {}, 1.0f});
      spec.layers.push_back(std::move(layer));
    }
    return spec;
  }
};

ModelSpec describe(const ModelConfig& config, const TensorMap& tensors) {
  ModelConfig c = config;
  const ConfigSource& s = *c.source;
  c.head_dim = s.integer("d_kv", "attention.key_length").value_or(c.head_dim);
  c.context_length = s.integer("n_positions", "context_length").value_or(512);
  const int64_t decoder_layers =
      s.integer("num_decoder_layers", "decoder_block_count").value_or(c.n_layers);
  LM_CHECK(c.head_dim >= 1 && c.head_dim <= 4096 && decoder_layers >= 1 && decoder_layers <= 4096,
           ErrorCode::bad_file, "{}: heads of {}, {} decoder layers; expected 1..4096 of each",
           s.where(), c.head_dim, decoder_layers);
  ModelSpec spec = Stack{c, tensors, "dec.", true}.describe(decoder_layers);
  spec.encoder =
      std::make_shared<const ModelSpec>(Stack{c, tensors, "enc.", false}.describe(c.n_layers));
  const bool own_output = tensors.contains("output.weight");
  spec.output = own_output ? linear_spec(tensors, "output") : spec.embedding;
  // Checkpoints with a tied head scale the hidden states; newer files say it outright.
  if (s.flag("scale_decoder_outputs", "").value_or(c.tie_embeddings.value_or(!own_output)))
    spec.logit_scale = 1.0f / std::sqrt(static_cast<float>(c.hidden_size));
  spec.decoder_start = static_cast<int32_t>(
      s.integer("decoder_start_token_id", "decoder_start_token_id").value_or(0));
  LM_CHECK(spec.decoder_start >= 0 && spec.decoder_start < c.vocab_size, ErrorCode::bad_file,
           "{}: decoder_start_token_id is {}; expected 0..{}", s.where(), spec.decoder_start,
           c.vocab_size - 1);
  return spec;
}

}  // namespace

extern const Arch kArch_t5;
const Arch kArch_t5 = {
    "t5",
    {"t5"},
    describe,
    {
        {"shared.weight", "token_embd.weight"},
        {"lm_head.weight", "output.weight"},
        {"encoder.final_layer_norm.weight", "enc.output_norm.weight"},
        {"encoder.block.{}.layer.0.layer_norm.weight", "enc.blk.{}.attn_norm.weight"},
        {"encoder.block.{}.layer.0.SelfAttention.q.weight", "enc.blk.{}.attn_q.weight"},
        {"encoder.block.{}.layer.0.SelfAttention.k.weight", "enc.blk.{}.attn_k.weight"},
        {"encoder.block.{}.layer.0.SelfAttention.v.weight", "enc.blk.{}.attn_v.weight"},
        {"encoder.block.{}.layer.0.SelfAttention.o.weight", "enc.blk.{}.attn_o.weight"},
        {"encoder.block.{}.layer.0.SelfAttention.relative_attention_bias.weight",
         "enc.blk.{}.attn_rel_b.weight"},
        {"encoder.block.{}.layer.1.layer_norm.weight", "enc.blk.{}.ffn_norm.weight"},
        {"encoder.block.{}.layer.1.DenseReluDense.wi.weight", "enc.blk.{}.ffn_up.weight"},
        {"encoder.block.{}.layer.1.DenseReluDense.wi_0.weight", "enc.blk.{}.ffn_gate.weight"},
        {"encoder.block.{}.layer.1.DenseReluDense.wi_1.weight", "enc.blk.{}.ffn_up.weight"},
        {"encoder.block.{}.layer.1.DenseReluDense.wo.weight", "enc.blk.{}.ffn_down.weight"},
        {"decoder.final_layer_norm.weight", "dec.output_norm.weight"},
        {"decoder.block.{}.layer.0.layer_norm.weight", "dec.blk.{}.attn_norm.weight"},
        {"decoder.block.{}.layer.0.SelfAttention.q.weight", "dec.blk.{}.attn_q.weight"},
        {"decoder.block.{}.layer.0.SelfAttention.k.weight", "dec.blk.{}.attn_k.weight"},
        {"decoder.block.{}.layer.0.SelfAttention.v.weight", "dec.blk.{}.attn_v.weight"},
        {"decoder.block.{}.layer.0.SelfAttention.o.weight", "dec.blk.{}.attn_o.weight"},
        {"decoder.block.{}.layer.0.SelfAttention.relative_attention_bias.weight",
         "dec.blk.{}.attn_rel_b.weight"},
        {"decoder.block.{}.layer.1.layer_norm.weight", "dec.blk.{}.cross_attn_norm.weight"},
        {"decoder.block.{}.layer.1.EncDecAttention.q.weight", "dec.blk.{}.cross_attn_q.weight"},
        {"decoder.block.{}.layer.1.EncDecAttention.k.weight", "dec.blk.{}.cross_attn_k.weight"},
        {"decoder.block.{}.layer.1.EncDecAttention.v.weight", "dec.blk.{}.cross_attn_v.weight"},
        {"decoder.block.{}.layer.1.EncDecAttention.o.weight", "dec.blk.{}.cross_attn_o.weight"},
        {"decoder.block.{}.layer.2.layer_norm.weight", "dec.blk.{}.ffn_norm.weight"},
        {"decoder.block.{}.layer.2.DenseReluDense.wi.weight", "dec.blk.{}.ffn_up.weight"},
        {"decoder.block.{}.layer.2.DenseReluDense.wi_0.weight", "dec.blk.{}.ffn_gate.weight"},
        {"decoder.block.{}.layer.2.DenseReluDense.wi_1.weight", "dec.blk.{}.ffn_up.weight"},
        {"decoder.block.{}.layer.2.DenseReluDense.wo.weight", "dec.blk.{}.ffn_down.weight"},
    },
    "T5, Flan-T5"};

}  // namespace lm
