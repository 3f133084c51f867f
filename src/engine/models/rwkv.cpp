#include "engine/models/rwkv.h"

#include <fmt/format.h>

#include "engine/core/error.h"
#include "engine/models/llama_like.h"

namespace lm {
namespace {

struct Layer {
  const ModelConfig& c;
  const TensorMap& tensors;
  int version;
  int64_t layer;

  std::string name(const char* part) const { return layer_name(layer, part); }
  bool has(const std::string& tensor) const { return tensors.contains(tensor); }
  LinearSpec linear(const char* part) const { return linear_spec(tensors, name(part)); }
  // The author's checkpoints have low-rank factors as [in, out].
  LinearSpec low(const char* part, bool into) const {
    LinearSpec out;
    out.weight = name(part) + ".weight";
    const auto it = tensors.find(out.weight);
    if (it == tensors.end()) return {};
    const Shape& s = it->second.shape;
    out.transposed = s.size() == 2 && (into ? s[1] != c.hidden_size : s[0] != c.hidden_size);
    if (s.size() == 2 && s[0] == s[1]) out.transposed = !c.gguf_layout;
    return out;
  }
  ShiftMixSpec mix(const char* part, int64_t fused_part) const {
    ShiftMixSpec m;
    m.of_previous = version == 7;
    const std::string fused = name("time_mix_lerp_fused.weight");
    m.tensor = has(name(part)) ? name(part) : fused_part >= 0 && has(fused) ? fused : "";
    m.part = m.tensor == fused ? fused_part : 0;
    return m;
  }
  std::string vector(const char* part) const { return has(name(part)) ? name(part) : ""; }

  TimeMixSpec time_mix() const {
    TimeMixSpec t;
    t.version = version;
    t.first_layer = layer == 0;
    t.mix_r = mix("time_mix_lerp_r.weight", 0);
    t.mix_w = mix("time_mix_lerp_w.weight", 1);
    t.mix_k = mix("time_mix_lerp_k.weight", 2);
    t.mix_v = mix("time_mix_lerp_v.weight", 3);
    t.mix_a = mix("time_mix_lerp_a.weight", 4);
    t.mix_g = mix("time_mix_lerp_g.weight", 5);
    t.receptance = linear("time_mix_receptance");
    t.key = linear("time_mix_key");
    t.value = linear("time_mix_value");
    t.output = linear("time_mix_output");
    t.head_size = c.source->integer("head_size|head_dim", "wkv.head_size").value_or(64);
    if (version == 4) t.head_size = c.hidden_size;
    LM_CHECK(t.head_size >= 1 && c.hidden_size % t.head_size == 0, ErrorCode::bad_file,
             "{}: {} channels in heads of {}; expected whole heads", c.source->where(),
             c.hidden_size, t.head_size);
    t.n_heads = c.hidden_size / t.head_size;
    if (version == 7) {
      t.w1 = low("time_mix_w1", true);
      t.w2 = low("time_mix_w2", false);
      t.a1 = low("time_mix_a1", true);
      t.a2 = low("time_mix_a2", false);
      t.g1 = low("time_mix_g1", true);
      t.g2 = low("time_mix_g2", false);
      if (layer > 0) {
        t.v1 = low("time_mix_v1", true);
        t.v2 = low("time_mix_v2", false);
        t.v0 = name("time_mix_v0.weight");
      }
      t.w0 = name("time_mix_w0.weight");
      t.a0 = name("time_mix_a0.weight");
      t.k_k = name("time_mix_k_k.weight");
      t.k_a = name("time_mix_k_a.weight");
      t.r_k = name("time_mix_r_k.weight");
    } else {
      t.decay = name("time_mix_decay.weight");
      t.bonus = name("time_mix_first.weight");
      t.decay_is_log = !c.gguf_layout;
      if (version == 5) t.gate = linear("time_mix_gate");
    }
    if (version != 4) {
      const double eps = version == 7 ? 64e-5 : 1e-5;
      t.norm = norm_spec(tensors, NormKind::layer,
                         c.source->real("", "wkv.norm_epsilon").value_or(eps), name("time_mix_ln"));
    }
    return t;
  }

  ChannelMixSpec channel_mix() const {
    ChannelMixSpec m;
    m.size = c.ffn_size;
    m.mix_k = mix("channel_mix_lerp_k.weight", -1);
    m.mix_r = mix("channel_mix_lerp_r.weight", -1);
    m.key = linear("channel_mix_key");
    m.value = linear("channel_mix_value");
    if (has(name("channel_mix_receptance.weight"))) m.receptance = linear("channel_mix_receptance");
    return m;
  }
};

}  // namespace

ModelSpec describe_rwkv(int version, const ModelConfig& c, const TensorMap& tensors) {
  const auto norm = [&](const std::string& stem) {
    return norm_spec(tensors, NormKind::layer, c.norm_eps, stem);
  };
  ModelSpec spec;
  spec.architecture = c.architecture;
  spec.hidden_size = c.hidden_size;
  spec.vocab_size = c.vocab_size;
  // Nothing limits the length but patience: the files say at most what training used.
  spec.context_length = std::max<int64_t>(c.context_length, 1 << 20);
  spec.embedding.weight = "token_embd.weight";
  spec.embedding_norm = norm("token_embd_norm");
  spec.final_norm = norm("output_norm");
  spec.output = linear_spec(tensors, "output");
  for (int64_t i = 0; i < c.n_layers; ++i) {
    const Layer at{c, tensors, version, i};
    std::vector<Block> layer(2);
    layer[0].branches.push_back({norm(layer_name(i, "attn_norm")), at.time_mix(), {}, 1.0f});
    layer[1].branches.push_back({norm(layer_name(i, "attn_norm_2")), at.channel_mix(), {}, 1.0f});
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

std::optional<ModelConfig> rwkv_config(const TensorMap& tensors, bool gguf_layout,
                                       const std::string& name) {
  const auto find = [&](const char* tensor) -> const TensorView* {
    const auto it = tensors.find(tensor);
    return it == tensors.end() ? nullptr : &it->second;
  };
  const TensorView *embedding = find("emb.weight"), *key = find("blocks.0.ffn.key.weight");
  if (embedding == nullptr || key == nullptr) return std::nullopt;
  int64_t layers = 0;
  while (find(fmt::format("blocks.{}.ln1.weight", layers).c_str()) != nullptr) ++layers;
  const TensorView *r_k = find("blocks.0.att.r_k"), *bonus = find("blocks.0.att.time_faaaa");
  const bool gate = find("blocks.0.att.gate.weight") != nullptr;
  int64_t head_size = embedding->cols();
  if (r_k != nullptr && r_k->shape.size() >= 2) head_size = r_k->cols();
  if (bonus != nullptr && bonus->shape.size() >= 2)  // [H, N] or [H, N, 1]
    head_size = bonus->shape[1];
  ModelConfig c = config_from_values(r_k != nullptr ? "rwkv7"
                                     : gate         ? "rwkv5"
                                                    : "rwkv4",
                                     gguf_layout, name,
                                     {{"vocab_size", embedding->rows()},
                                      {"embedding_length", embedding->cols()},
                                      {"block_count", layers},
                                      {"feed_forward_length", key->rows()},
                                      {"wkv.head_size", head_size}});
  return c;
}

std::vector<NameRule> rwkv_names() {
  return {
      {"rwkv.embeddings.weight", "token_embd.weight"},
      {"rwkv.blocks.0.pre_ln.weight", "token_embd_norm.weight"},
      {"rwkv.blocks.0.pre_ln.bias", "token_embd_norm.bias"},
      {"rwkv.ln_out.weight", "output_norm.weight"},
      {"rwkv.ln_out.bias", "output_norm.bias"},
      {"rwkv.blocks.{}.ln1.weight", "blk.{}.attn_norm.weight"},
      {"rwkv.blocks.{}.ln1.bias", "blk.{}.attn_norm.bias"},
      {"rwkv.blocks.{}.ln2.weight", "blk.{}.attn_norm_2.weight"},
      {"rwkv.blocks.{}.ln2.bias", "blk.{}.attn_norm_2.bias"},
      {"rwkv.blocks.{}.attention.time_mix_receptance", "blk.{}.time_mix_lerp_r.weight"},
      {"rwkv.blocks.{}.attention.time_mix_key", "blk.{}.time_mix_lerp_k.weight"},
      {"rwkv.blocks.{}.attention.time_mix_value", "blk.{}.time_mix_lerp_v.weight"},
      {"rwkv.blocks.{}.attention.time_decay", "blk.{}.time_mix_decay.weight", Layout::minus_exp},
      {"rwkv.blocks.{}.attention.time_first", "blk.{}.time_mix_first.weight"},
      {"rwkv.blocks.{}.attention.receptance.weight", "blk.{}.time_mix_receptance.weight"},
      {"rwkv.blocks.{}.attention.key.weight", "blk.{}.time_mix_key.weight"},
      {"rwkv.blocks.{}.attention.value.weight", "blk.{}.time_mix_value.weight"},
      {"rwkv.blocks.{}.attention.output.weight", "blk.{}.time_mix_output.weight"},
      {"rwkv.blocks.{}.feed_forward.time_mix_key", "blk.{}.channel_mix_lerp_k.weight"},
      {"rwkv.blocks.{}.feed_forward.time_mix_receptance", "blk.{}.channel_mix_lerp_r.weight"},
      {"rwkv.blocks.{}.feed_forward.key.weight", "blk.{}.channel_mix_key.weight"},
      {"rwkv.blocks.{}.feed_forward.value.weight", "blk.{}.channel_mix_value.weight"},
      {"rwkv.blocks.{}.feed_forward.receptance.weight", "blk.{}.channel_mix_receptance.weight"},
      {"emb.weight", "token_embd.weight"},
      {"blocks.0.ln0.weight", "token_embd_norm.weight"},
      {"blocks.0.ln0.bias", "token_embd_norm.bias"},
      {"ln_out.weight", "output_norm.weight"},
      {"ln_out.bias", "output_norm.bias"},
      {"head.weight", "output.weight"},
      {"blocks.{}.ln1.weight", "blk.{}.attn_norm.weight"},
      {"blocks.{}.ln1.bias", "blk.{}.attn_norm.bias"},
      {"blocks.{}.ln2.weight", "blk.{}.attn_norm_2.weight"},
      {"blocks.{}.ln2.bias", "blk.{}.attn_norm_2.bias"},
      {"blocks.{}.att.time_mix_r", "blk.{}.time_mix_lerp_r.weight"},
      {"blocks.{}.att.time_mix_k", "blk.{}.time_mix_lerp_k.weight"},
      {"blocks.{}.att.time_mix_v", "blk.{}.time_mix_lerp_v.weight"},
      {"blocks.{}.att.time_mix_g", "blk.{}.time_mix_lerp_g.weight"},
      {"blocks.{}.att.x_rwkvag", "blk.{}.time_mix_lerp_fused.weight"},
      {"blocks.{}.att.x_r", "blk.{}.time_mix_lerp_r.weight"},
      {"blocks.{}.att.x_w", "blk.{}.time_mix_lerp_w.weight"},
      {"blocks.{}.att.x_k", "blk.{}.time_mix_lerp_k.weight"},
      {"blocks.{}.att.x_v", "blk.{}.time_mix_lerp_v.weight"},
      {"blocks.{}.att.x_a", "blk.{}.time_mix_lerp_a.weight"},
      {"blocks.{}.att.x_g", "blk.{}.time_mix_lerp_g.weight"},
      {"blocks.{}.att.time_decay", "blk.{}.time_mix_decay.weight"},
      {"blocks.{}.att.time_first", "blk.{}.time_mix_first.weight"},
      {"blocks.{}.att.time_faaaa", "blk.{}.time_mix_first.weight"},
      {"blocks.{}.att.receptance.weight", "blk.{}.time_mix_receptance.weight"},
      {"blocks.{}.att.key.weight", "blk.{}.time_mix_key.weight"},
      {"blocks.{}.att.value.weight", "blk.{}.time_mix_value.weight"},
      {"blocks.{}.att.gate.weight", "blk.{}.time_mix_gate.weight"},
      {"blocks.{}.att.output.weight", "blk.{}.time_mix_output.weight"},
      {"blocks.{}.att.ln_x.weight", "blk.{}.time_mix_ln.weight"},
      {"blocks.{}.att.ln_x.bias", "blk.{}.time_mix_ln.bias"},
      {"blocks.{}.att.w0", "blk.{}.time_mix_w0.weight"},
      {"blocks.{}.att.w1", "blk.{}.time_mix_w1.weight"},
      {"blocks.{}.att.w2", "blk.{}.time_mix_w2.weight"},
      {"blocks.{}.att.a0", "blk.{}.time_mix_a0.weight"},
      {"blocks.{}.att.a1", "blk.{}.time_mix_a1.weight"},
      {"blocks.{}.att.a2", "blk.{}.time_mix_a2.weight"},
      {"blocks.{}.att.v0", "blk.{}.time_mix_v0.weight"},
      {"blocks.{}.att.v1", "blk.{}.time_mix_v1.weight"},
      {"blocks.{}.att.v2", "blk.{}.time_mix_v2.weight"},
      {"blocks.{}.att.g1", "blk.{}.time_mix_g1.weight"},
      {"blocks.{}.att.g2", "blk.{}.time_mix_g2.weight"},
      {"blocks.{}.att.k_k", "blk.{}.time_mix_k_k.weight"},
      {"blocks.{}.att.k_a", "blk.{}.time_mix_k_a.weight"},
      {"blocks.{}.att.r_k", "blk.{}.time_mix_r_k.weight"},
      {"blocks.{}.ffn.time_mix_k", "blk.{}.channel_mix_lerp_k.weight"},
      {"blocks.{}.ffn.time_mix_r", "blk.{}.channel_mix_lerp_r.weight"},
      {"blocks.{}.ffn.x_k", "blk.{}.channel_mix_lerp_k.weight"},
      {"blocks.{}.ffn.key.weight", "blk.{}.channel_mix_key.weight"},
      {"blocks.{}.ffn.value.weight", "blk.{}.channel_mix_value.weight"},
      {"blocks.{}.ffn.receptance.weight", "blk.{}.channel_mix_receptance.weight"},
  };
}

}  // namespace lm
