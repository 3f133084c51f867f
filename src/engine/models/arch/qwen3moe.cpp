// Qwen3-MoE: Qwen3's attention, softmax over all experts, weights of the chosen ones renormalised.
#include "engine/models/llama_like.h"
#include "engine/models/moe.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec = describe_llama_like(c, tensors, RopeKind::half);
  add_qk_norms(spec, tensors, c.norm_eps);
  MoeConfig moe = read_moe(c);
  if (c.gguf_layout) moe.renormalize = true;  // the files do not say so
  add_experts(spec, c, tensors, moe);
  return spec;
}

}  // namespace

extern const Arch kArch_qwen3moe;
const Arch kArch_qwen3moe = {"qwen3moe",
                             {"qwen3_moe"},
                             describe,
                             with_names(moe_names(), llama_like_names(false)),
                             "Qwen3-MoE"};

}  // namespace lm
