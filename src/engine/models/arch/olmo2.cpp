// OLMo 2: norms after attention and MLP instead of before them; q and k normed over all heads
// together.
#include "engine/models/llama_like.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec = describe_llama_like(c, tensors, RopeKind::half);
  add_qk_norms(spec, tensors, c.norm_eps);
  for_each_attention(spec, [](int64_t, AttentionSpec& a) { a.norm_whole = true; });
  for (size_t i = 0; i < spec.layers.size(); ++i)
    for (Block& block : spec.layers[i]) {
      Branch& branch = block.branches[0];
      const bool attention = std::holds_alternative<AttentionSpec>(branch.op);
      branch.norm = {};
      branch.post_norm = norm_spec(
          tensors, NormKind::rms, c.norm_eps,
          layer_name(static_cast<int64_t>(i), attention ? "post_attention_norm" : "post_ffw_norm"));
    }
  return spec;
}

}  // namespace

extern const Arch kArch_olmo2;
const Arch kArch_olmo2 = {
    "olmo2",
    {"olmo2"},
    describe,
    with_names(
        {{"model.layers.{}.post_attention_layernorm.weight", "blk.{}.post_attention_norm.weight"},
         {"model.layers.{}.post_feedforward_layernorm.weight", "blk.{}.post_ffw_norm.weight"}},
        llama_like_names(false)),
    "OLMo 2"};

}  // namespace lm
