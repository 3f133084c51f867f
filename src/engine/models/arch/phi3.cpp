// Phi-3, Phi-3.5-mini, Phi-4-mini: fused q, k, v; gate over up in one matrix; LongRoPE; Phi-4-mini
// rotates three quarters of a head.
#include "engine/models/llama_like.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec = describe_llama_like(c, tensors, RopeKind::half);
  for_each_mlp(spec, [&](int64_t, MlpSpec& m) {
    m.gate = linear_rows(m.up, 0, m.size);
    m.up = linear_rows(m.up, m.size, m.size);
  });
  return spec;
}

}  // namespace

extern const Arch kArch_phi3;
const Arch kArch_phi3 = {
    "phi3",
    {"phi3"},
    describe,
    with_names({{"model.layers.{}.mlp.gate_up_proj.weight", "blk.{}.ffn_up.weight"}},
               llama_like_names(false)),
    "Phi-3, Phi-3.5-mini, Phi-4-mini"};

}  // namespace lm
