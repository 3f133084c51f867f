// Granite 3 MoE: softmax over the chosen experts; gate over up in one stack.
#include "engine/models/granite_like.h"
#include "engine/models/llama_like.h"
#include "engine/models/moe.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec =
      describe_llama_like(c, tensors, c.gguf_layout ? RopeKind::interleaved : RopeKind::half);
  MoeConfig moe = read_moe(c);
  moe.renormalize = true;
  add_experts(spec, c, tensors, moe);
  apply_granite_factors(c, &spec);
  return spec;
}

}  // namespace

extern const Arch kArch_granitemoe;
const Arch kArch_granitemoe = {"granitemoe",
                               {"granitemoe"},
                               describe,
                               with_names(moe_names(), llama_like_names(true)),
                               "Granite 3 MoE"};

}  // namespace lm
