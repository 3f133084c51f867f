// Phi-3.5-MoE: LayerNorm, biases, two experts chosen by SparseMixer.
#include "engine/models/llama_like.h"
#include "engine/models/moe.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec = describe_llama_like(c, tensors, RopeKind::half);
  add_experts(spec, c, tensors, read_moe(c));
  const auto jitter = c.source->real("router_jitter_noise", "").value_or(0.01);
  spec.final_norm.kind = NormKind::layer;
  for_each_branch(spec, [&](Branch& branch) {
    branch.norm.kind = NormKind::layer;
    if (auto* m = std::get_if<MoeSpec>(&branch.op)) {
      m->router = RouterKind::sparsemixer;
      m->jitter = static_cast<float>(jitter);
    }
  });
  return spec;
}

}  // namespace

extern const Arch kArch_phimoe;
const Arch kArch_phimoe = {"phimoe",
                           {"phimoe"},
                           describe,
                           with_names(moe_names(), llama_like_names(false)),
                           "Phi-3.5-MoE"};

}  // namespace lm
