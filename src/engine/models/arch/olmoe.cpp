// OLMoE: q and k normed over all heads together, softmax over all experts.
#include "engine/models/llama_like.h"
#include "engine/models/moe.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec = describe_llama_like(c, tensors, RopeKind::half);
  add_qk_norms(spec, tensors, c.norm_eps);
  for_each_attention(spec, [](int64_t, AttentionSpec& a) { a.norm_whole = true; });
  add_experts(spec, c, tensors, read_moe(c));
  return spec;
}

}  // namespace

extern const Arch kArch_olmoe;
const Arch kArch_olmoe = {
    "olmoe", {"olmoe"}, describe, with_names(moe_names(), llama_like_names(false)), "OLMoE"};

}  // namespace lm
