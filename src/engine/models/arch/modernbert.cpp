// ModernBERT (arXiv:2412.13663): pre-norm encoder with rotary positions and GeGLU; most layers see
// a window around each token. The first layer's attention has no norm.
#include "engine/core/error.h"
#include "engine/models/llama_like.h"
#include "engine/models/rope.h"

namespace lm {
namespace {

std::optional<HeadSpec> head(const ModelConfig& c, const TensorMap& tensors) {
  if (!tensors.contains("cls.output.weight")) return std::nullopt;
  HeadSpec h;
  // GGUF: 1 mean, 2 first token; files that do not say it mean the mean.
  const std::string pooling =
      c.gguf_layout
          ? (c.source->integer("", "classifier.pooling_type").value_or(1) == 2 ? "cls" : "mean")
          : c.source->text("classifier_pooling", "").value_or("cls");
  LM_CHECK(pooling == "cls" || pooling == "mean", ErrorCode::bad_file,
           "{}: classifier_pooling is \"{}\"; expected cls or mean", c.source->where(), pooling);
  h.pooling = pooling == "cls" ? Pooling::cls : Pooling::mean;
  h.dense = linear_spec(tensors, "cls");
  h.activation =
      activation_of(c.source->text("classifier_activation", "").value_or(""), Activation::gelu_erf);
  h.norm = norm_spec(tensors, NormKind::layer, c.norm_eps, "cls.norm");
  h.output = linear_spec(tensors, "cls.output");
  return h;
}

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  const ConfigSource& s = *c.source;
  ModelConfig plain = c;
  if (plain.activation.empty())
    plain.activation = s.text("hidden_activation", "hidden_activation").value_or("gelu");
  ModelSpec spec = describe_llama_like(plain, tensors, RopeKind::half);
  spec.final_norm.kind = NormKind::layer;
  spec.output.reset();
  spec.embedding_norm = norm_spec(tensors, NormKind::layer, c.norm_eps, "token_embd_norm");
  spec.pooling = Pooling::mean;
  spec.head = head(c, tensors);
  const auto types = s.texts("layer_types", "");
  const auto flags =
      c.gguf_layout ? s.numbers("", "attention.sliding_window_pattern") : std::vector<double>();
  const int64_t every =
      flags.size() > 1
          ? 0
          : s.integer("global_attn_every_n_layers", "attention.sliding_window_pattern").value_or(3);
  const int64_t window = s.integer("local_attention", "attention.sliding_window").value_or(128) / 2;
  const double theta =
      s.real("rope_parameters.full_attention.rope_theta|global_rope_theta", "rope.freq_base")
          .value_or(160000.0);
  const double local =
      s.real("rope_parameters.sliding_attention.rope_theta|local_rope_theta", "rope.freq_base_swa")
          .value_or(10000.0);
  for_each_attention(spec, [&](int64_t layer, AttentionSpec& a) {
    const auto i = static_cast<size_t>(layer);
    const bool windowed = i < types.size()                       ? types[i] == "sliding_attention"
                          : i < flags.size() && flags.size() > 1 ? flags[i] != 0
                                                                 : every > 0 && layer % every != 0;
    a.causal = false;
    a.window = windowed ? window : 0;
    a.rope = make_rope(RopeKind::half, c.rope_dim, windowed ? local : theta, {}, c.context_length);
  });
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    for (Block& block : spec.layers[i]) block.branches[0].norm.kind = NormKind::layer;
    Branch& first = spec.layers[i][0].branches[0];
    if (!tensors.contains(first.norm.weight)) first.norm = {};
    auto& m = std::get<MlpSpec>(spec.layers[i][1].branches[0].op);
    m.gate = linear_rows(m.up, 0, m.size);
    m.up = linear_rows(m.up, m.size, m.size);
  }
  return spec;
}

}  // namespace

extern const Arch kArch_modernbert;
const Arch kArch_modernbert = {"modern-bert",
                               {"modernbert"},
                               describe,
                               {
                                   {"model.embeddings.tok_embeddings.weight", "token_embd.weight"},
                                   {"model.embeddings.norm.weight", "token_embd_norm.weight"},
                                   {"model.embeddings.norm.bias", "token_embd_norm.bias"},
                                   {"model.final_norm.weight", "output_norm.weight"},
                                   {"model.final_norm.bias", "output_norm.bias"},
                                   {"model.layers.{}.attn_norm.weight", "blk.{}.attn_norm.weight"},
                                   {"model.layers.{}.attn_norm.bias", "blk.{}.attn_norm.bias"},
                                   {"model.layers.{}.attn.Wqkv.weight", "blk.{}.attn_qkv.weight"},
                                   {"model.layers.{}.attn.Wqkv.bias", "blk.{}.attn_qkv.bias"},
                                   {"model.layers.{}.attn.Wo.weight", "blk.{}.attn_output.weight"},
                                   {"model.layers.{}.attn.Wo.bias", "blk.{}.attn_output.bias"},
                                   {"model.layers.{}.mlp_norm.weight", "blk.{}.ffn_norm.weight"},
                                   {"model.layers.{}.mlp_norm.bias", "blk.{}.ffn_norm.bias"},
                                   {"model.layers.{}.mlp.Wi.weight", "blk.{}.ffn_up.weight"},
                                   {"model.layers.{}.mlp.Wi.bias", "blk.{}.ffn_up.bias"},
                                   {"model.layers.{}.mlp.Wo.weight", "blk.{}.ffn_down.weight"},
                                   {"model.layers.{}.mlp.Wo.bias", "blk.{}.ffn_down.bias"},
                                   {"head.dense.weight", "cls.weight"},
                                   {"head.dense.bias", "cls.bias"},
                                   {"head.norm.weight", "cls.norm.weight"},
                                   {"head.norm.bias", "cls.norm.bias"},
                                   {"classifier.weight", "cls.output.weight"},
                                   {"classifier.bias", "cls.output.bias"},
                               },
                               "ModernBERT"};

}  // namespace lm
