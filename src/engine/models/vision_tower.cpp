#include "engine/models/vision_tower.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/core/error.h"

namespace lm {

VisionConfig read_vision_config(const ConfigSource& s, const std::string& prefix,
                                double default_eps) {
  const auto whole = [&](const char* first, const char* second, int64_t fallback, int64_t most) {
    const std::string names =
        second[0] == '\0' ? prefix + first : fmt::format("{0}{1}|{0}{2}", prefix, first, second);
    const int64_t v = s.integer(names, "").value_or(fallback);
    LM_CHECK(v >= 1 && v <= most, ErrorCode::bad_file, "{}: \"{}{}\" is {}; expected 1..{}",
             s.where(), prefix, first, v, most);
    return v;
  };
  VisionConfig c;
  c.hidden_size = whole("hidden_size", "dim", 0, 1 << 16);
  c.n_layers = whole("num_hidden_layers", "depth", 0, 4096);
  c.n_heads = whole("num_attention_heads", "heads", 0, 1 << 10);
  c.head_dim = whole("head_dim", "", c.hidden_size / c.n_heads, 1 << 12);
  c.ffn_size = whole("intermediate_size", "mlp_dim", 4 * c.hidden_size, 1 << 20);
  c.image_size = whole("image_size", "", 224, 1 << 14);
  c.patch_size = whole("patch_size", "", 16, c.image_size);
  c.n_channels = whole("num_channels", "", 3, 4);
  c.norm_eps = s.real(prefix + "layer_norm_eps", "").value_or(default_eps);
  c.activation = s.text(prefix + "hidden_act", "").value_or("");
  LM_CHECK(c.image_size / c.patch_size <= 256, ErrorCode::bad_file,
           "{}: an image of {} pixels a side has {} patches of {} in a row; at most 256 are read",
           s.where(), c.image_size, c.image_size / c.patch_size, c.patch_size);
  return c;
}

ImagePreprocessSpec read_preprocess(const ModelConfig& config, const ImageInputSpec& image,
                                    Resample default_filter) {
  const ConfigSource& s = config.preprocessor ? *config.preprocessor : *config.source;
  const auto one_for_each = [&](const char* name) {
    std::vector<double> v = s.numbers(name, "");
    if (v.empty()) v = {0.5};
    if (v.size() == 1) v.resize(static_cast<size_t>(image.n_channels), v[0]);
    LM_CHECK(static_cast<int64_t>(v.size()) == image.n_channels, ErrorCode::bad_file,
             "{}: \"{}\" has {} values for {} channels", s.where(), name, v.size(),
             image.n_channels);
    return v;
  };
  ImagePreprocessSpec p;
  const int64_t filter = s.integer("resample", "").value_or(static_cast<int64_t>(default_filter));
  LM_CHECK(filter >= 0 && filter <= 5, ErrorCode::bad_file,
           "{}: \"resample\" is {}; expected 0..5 (Pillow's filters)", s.where(), filter);
  p.filter = static_cast<Resample>(filter);
  p.rescale = s.real("rescale_factor|rescale", "").value_or(1.0 / 255);
  p.mean = one_for_each("image_mean");
  p.std = one_for_each("image_std");
  for (const double v : p.std)
    LM_CHECK(v > 0, ErrorCode::bad_file, "{}: \"image_std\" has {}; expected numbers above 0",
             s.where(), v);
  for (const char* step : {"do_rescale", "do_normalize", "do_resize"})
    LM_CHECK(s.flag(step, "").value_or(true), ErrorCode::unsupported,
             "{}: \"{}\" is false; pictures are always resized, rescaled and normalised here",
             s.where(), step);
  LM_CHECK(!s.flag("do_center_crop", "").value_or(false), ErrorCode::unsupported,
           "{}: \"do_center_crop\" is true; cropping is not done here", s.where());
  if (!config.preprocessor) return p;
  const int64_t size = s.integer("size.height|size", "").value_or(image.image_size);
  LM_CHECK(size == image.image_size && !s.has("size.shortest_edge", ""), ErrorCode::unsupported,
           "{}: pictures are resized to {}, but the model reads {} x {}; they must agree",
           s.where(), size, image.image_size, image.image_size);
  return p;
}

ModelSpec describe_vision_tower(const VisionConfig& c, const TensorMap& tensors) {
  ImageInputSpec image;
  image.image_size = c.image_size;
  image.patch_size = c.patch_size;
  image.n_channels = c.n_channels;
  image.patch = linear_spec(tensors, "v.patch_embd");
  if (tensors.contains("v.class_embd")) image.class_token = "v.class_embd";

  ModelSpec spec;
  spec.hidden_size = c.hidden_size;
  spec.context_length = image.n_tokens();
  spec.positions = "v.position_embd.weight";
  if (tensors.contains("v.post_ln.weight"))
    spec.final_norm = norm_spec(tensors, NormKind::layer, c.norm_eps, "v.post_ln");
  spec.image = std::move(image);
  for (int64_t i = 0; i < c.n_layers; ++i) {
    const auto stem = [&](const char* part) { return fmt::format("v.blk.{}.{}", i, part); };
    const auto linear = [&](const char* part) { return linear_spec(tensors, stem(part)); };
    const auto norm = [&](const char* part) {
      return norm_spec(tensors, NormKind::layer, c.norm_eps, stem(part));
    };
    AttentionSpec a;
    a.n_heads = a.n_kv_heads = c.n_heads;
    a.head_dim = a.value_dim = c.head_dim;
    a.causal = false;
    if (tensors.contains(stem("attn_qkv.weight")))
      a.qkv = {linear("attn_qkv")};
    else
      a.qkv = {linear("attn_q"), linear("attn_k"), linear("attn_v")};
    a.output = linear("attn_out");
    a.scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
    MlpSpec m;
    m.gated = false;
    m.activation = activation_of(c.activation, Activation::gelu_erf);
    m.size = c.ffn_size;
    m.up = linear("ffn_up");
    m.down = linear("ffn_down");
    std::vector<Block> layer(2);
    layer[0].branches.push_back({norm("ln1"), std::move(a), {}, 1.0f});
    layer[1].branches.push_back({norm("ln2"), std::move(m), {}, 1.0f});
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

std::vector<NameRule> siglip_names() {
  return {
      {"embeddings.patch_embedding.weight", "v.patch_embd.weight"},
      {"embeddings.patch_embedding.bias", "v.patch_embd.bias"},
      {"embeddings.position_embedding.weight", "v.position_embd.weight"},
      {"post_layernorm.weight", "v.post_ln.weight"},
      {"post_layernorm.bias", "v.post_ln.bias"},
      {"encoder.layers.{}.layer_norm1.weight", "v.blk.{}.ln1.weight"},
      {"encoder.layers.{}.layer_norm1.bias", "v.blk.{}.ln1.bias"},
      {"encoder.layers.{}.layer_norm2.weight", "v.blk.{}.ln2.weight"},
      {"encoder.layers.{}.layer_norm2.bias", "v.blk.{}.ln2.bias"},
      {"encoder.layers.{}.self_attn.q_proj.weight", "v.blk.{}.attn_q.weight"},
      {"encoder.layers.{}.self_attn.q_proj.bias", "v.blk.{}.attn_q.bias"},
      {"encoder.layers.{}.self_attn.k_proj.weight", "v.blk.{}.attn_k.weight"},
      {"encoder.layers.{}.self_attn.k_proj.bias", "v.blk.{}.attn_k.bias"},
      {"encoder.layers.{}.self_attn.v_proj.weight", "v.blk.{}.attn_v.weight"},
      {"encoder.layers.{}.self_attn.v_proj.bias", "v.blk.{}.attn_v.bias"},
      {"encoder.layers.{}.self_attn.out_proj.weight", "v.blk.{}.attn_out.weight"},
      {"encoder.layers.{}.self_attn.out_proj.bias", "v.blk.{}.attn_out.bias"},
      {"encoder.layers.{}.mlp.fc1.weight", "v.blk.{}.ffn_up.weight"},
      {"encoder.layers.{}.mlp.fc1.bias", "v.blk.{}.ffn_up.bias"},
      {"encoder.layers.{}.mlp.fc2.weight", "v.blk.{}.ffn_down.weight"},
      {"encoder.layers.{}.mlp.fc2.bias", "v.blk.{}.ffn_down.bias"},
  };
}

}  // namespace lm
