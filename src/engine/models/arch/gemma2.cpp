// Gemma 2: norms after attention and MLP too, soft caps, a window in every second layer.
#include "engine/models/gemma_like.h"
#include "engine/models/llama_like.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec = describe_gemma(c, tensors);
  const ConfigSource& s = *c.source;
  const auto cap = s.real("attn_logit_softcapping", "attn_logit_softcapping").value_or(0.0);
  for_each_attention(spec, [&](int64_t layer, AttentionSpec& a) {
    a.softcap = static_cast<float>(cap);
    a.window = layer % 2 == 0 ? c.sliding_window : 0;
  });
  spec.logit_softcap = static_cast<float>(
      s.real("final_logit_softcapping", "final_logit_softcapping").value_or(0.0));
  return spec;
}

}  // namespace

extern const Arch kArch_gemma2;
const Arch kArch_gemma2 = {"gemma2", {"gemma2"}, describe, gemma_post_norm_names(), "Gemma 2"};

}  // namespace lm
