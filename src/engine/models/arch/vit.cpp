// Vision transformers that classify images: transformers' ViT, and the first versions of
// vit-pytorch (scores scaled by the whole width, no norm at the end, a hidden layer in the head).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/models/vision_tower.h"

namespace lm {
namespace {

// config.json's id2label; empty when a name is missing.
std::vector<std::string> labels(const ConfigSource& source, int64_t n) {
  std::vector<std::string> out;
  for (int64_t i = 0; i < std::min<int64_t>(n, 1 << 16); ++i) {
    auto name = source.text(fmt::format("id2label.{}", i), "");
    if (!name) return {};
    out.push_back(std::move(*name));
  }
  return out;
}

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  const bool vit_pytorch = c.source->has("dim", "");
  ModelSpec spec =
      describe_vision_tower(read_vision_config(*c.source, "", vit_pytorch ? 1e-5 : 1e-12), tensors);
  spec.architecture = c.architecture;
  spec.image->preprocess = read_preprocess(c, *spec.image, Resample::bilinear);
  spec.pooling = Pooling::cls;
  if (vit_pytorch)
    for_each_branch(spec, [&](Branch& b) {
      if (auto* a = std::get_if<AttentionSpec>(&b.op))
        a->scale = 1.0f / std::sqrt(static_cast<float>(spec.hidden_size));
    });
  if (!tensors.contains("cls.output.weight")) return spec;
  spec.head.emplace();
  spec.head->output = linear_spec(tensors, "cls.output");
  spec.head->labels = labels(*c.source, tensors.at("cls.output.weight").rows());
  if (tensors.contains("cls.weight")) {
    spec.head->dense = linear_spec(tensors, "cls");
    spec.head->activation = Activation::gelu_erf;
  }
  return spec;
}

}  // namespace

extern const Arch kArch_vit;
const Arch kArch_vit = {
    "vit",
    {"vit"},
    describe,
    {
        {"embeddings.cls_token", "v.class_embd"},
        {"embeddings.position_embeddings", "v.position_embd.weight"},
        {"embeddings.patch_embeddings.projection.weight", "v.patch_embd.weight"},
        {"embeddings.patch_embeddings.projection.bias", "v.patch_embd.bias"},
        {"layernorm.weight", "v.post_ln.weight"},
        {"layernorm.bias", "v.post_ln.bias"},
        {"classifier.weight", "cls.output.weight"},
        {"classifier.bias", "cls.output.bias"},
        {"encoder.layer.{}.layernorm_before.weight", "v.blk.{}.ln1.weight"},
        {"encoder.layer.{}.layernorm_before.bias", "v.blk.{}.ln1.bias"},
        {"encoder.layer.{}.layernorm_after.weight", "v.blk.{}.ln2.weight"},
        {"encoder.layer.{}.layernorm_after.bias", "v.blk.{}.ln2.bias"},
        {"encoder.layer.{}.attention.attention.query.weight", "v.blk.{}.attn_q.weight"},
        {"encoder.layer.{}.attention.attention.query.bias", "v.blk.{}.attn_q.bias"},
        {"encoder.layer.{}.attention.attention.key.weight", "v.blk.{}.attn_k.weight"},
        {"encoder.layer.{}.attention.attention.key.bias", "v.blk.{}.attn_k.bias"},
        {"encoder.layer.{}.attention.attention.value.weight", "v.blk.{}.attn_v.weight"},
        {"encoder.layer.{}.attention.attention.value.bias", "v.blk.{}.attn_v.bias"},
        {"encoder.layer.{}.attention.output.dense.weight", "v.blk.{}.attn_out.weight"},
        {"encoder.layer.{}.attention.output.dense.bias", "v.blk.{}.attn_out.bias"},
        {"encoder.layer.{}.intermediate.dense.weight", "v.blk.{}.ffn_up.weight"},
        {"encoder.layer.{}.intermediate.dense.bias", "v.blk.{}.ffn_up.bias"},
        {"encoder.layer.{}.output.dense.weight", "v.blk.{}.ffn_down.weight"},
        {"encoder.layer.{}.output.dense.bias", "v.blk.{}.ffn_down.bias"},
        // vit-pytorch
        {"cls_token", "v.class_embd"},
        {"pos_embedding", "v.position_embd.weight"},
        {"patch_to_embedding.weight", "v.patch_embd.weight"},
        {"patch_to_embedding.bias", "v.patch_embd.bias"},
        {"transformer.layers.{}.0.fn.norm.weight", "v.blk.{}.ln1.weight"},
        {"transformer.layers.{}.0.fn.norm.bias", "v.blk.{}.ln1.bias"},
        {"transformer.layers.{}.0.fn.fn.to_qkv.weight", "v.blk.{}.attn_qkv.weight"},
        {"transformer.layers.{}.0.fn.fn.to_out.weight", "v.blk.{}.attn_out.weight"},
        {"transformer.layers.{}.0.fn.fn.to_out.bias", "v.blk.{}.attn_out.bias"},
        {"transformer.layers.{}.1.fn.norm.weight", "v.blk.{}.ln2.weight"},
        {"transformer.layers.{}.1.fn.norm.bias", "v.blk.{}.ln2.bias"},
        {"transformer.layers.{}.1.fn.fn.net.0.weight", "v.blk.{}.ffn_up.weight"},
        {"transformer.layers.{}.1.fn.fn.net.0.bias", "v.blk.{}.ffn_up.bias"},
        {"transformer.layers.{}.1.fn.fn.net.2.weight", "v.blk.{}.ffn_down.weight"},
        {"transformer.layers.{}.1.fn.fn.net.2.bias", "v.blk.{}.ffn_down.bias"},
        {"mlp_head.0.weight", "cls.weight"},
        {"mlp_head.0.bias", "cls.bias"},
        {"mlp_head.2.weight", "cls.output.weight"},
        {"mlp_head.2.bias", "cls.output.bias"},
    },
    "ViT (image classifiers of transformers and vit-pytorch)",
    false};

}  // namespace lm
