// StableLM 2: LayerNorm, rotation of a part of each head; the 12B model runs attention and MLP on
// the same norm, in parallel, and norms each head of q and k with weights of its own.
#include "engine/models/llama_like.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec = describe_llama_like(c, tensors, RopeKind::half);
  spec.final_norm.kind = NormKind::layer;
  const bool parallel =
      c.source->flag("use_parallel_residual", "use_parallel_residual").value_or(false);
  const bool head_norms = tensors.contains("blk.0.attn_q_norm.weight") ||
                          tensors.contains("blk.0.attn_q_norm.0.weight");
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    const auto layer = static_cast<int64_t>(i);
    for (Block& block : spec.layers[i]) block.branches[0].norm.kind = NormKind::layer;
    auto& a = std::get<AttentionSpec>(spec.layers[i][0].branches[0].op);
    if (head_norms) {
      a.q_norm = norm_spec(tensors, NormKind::layer, c.norm_eps, layer_name(layer, "attn_q_norm"));
      a.k_norm = norm_spec(tensors, NormKind::layer, c.norm_eps, layer_name(layer, "attn_k_norm"));
    }
    if (!parallel) continue;
    Branch mlp = std::move(spec.layers[i][1].branches[0]);
    mlp.norm = spec.layers[i][0].branches[0].norm;
    spec.layers[i][0].branches.push_back(std::move(mlp));
    spec.layers[i].pop_back();
  }
  return spec;
}

}  // namespace

extern const Arch kArch_stablelm;
const Arch kArch_stablelm = {
    "stablelm",
    {"stablelm"},
    describe,
    with_names(
        {{"model.layers.{}.self_attn.q_layernorm.norms.{}.weight", "blk.{}.attn_q_norm.{}.weight"},
         {"model.layers.{}.self_attn.k_layernorm.norms.{}.weight", "blk.{}.attn_k_norm.{}.weight"}},
        llama_like_names(false)),
    "StableLM 2"};

}  // namespace lm
