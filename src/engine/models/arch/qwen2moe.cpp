// Qwen1.5-MoE and Qwen2-MoE: softmax over all experts, a shared expert behind a sigmoid gate.
#include "engine/models/llama_like.h"
#include "engine/models/moe.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec = describe_llama_like(c, tensors, RopeKind::half);
  add_experts(spec, c, tensors, read_moe(c));
  return spec;
}

}  // namespace

extern const Arch kArch_qwen2moe;
const Arch kArch_qwen2moe = {"qwen2moe",
                             {"qwen2_moe"},
                             describe,
                             with_names(moe_names(), llama_like_names(false)),
                             "Qwen1.5-MoE, Qwen2-MoE"};

}  // namespace lm
