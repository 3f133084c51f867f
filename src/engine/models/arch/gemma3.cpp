// Gemma 3 (270M to 27B, text): q and k norms; most layers have a window and a RoPE of their own,
// every sixth sees everything.
#include "engine/models/gemma_like.h"
#include "engine/models/llama_like.h"
#include "engine/models/rope.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec = describe_gemma(c, tensors);
  add_qk_norms(spec, tensors, c.norm_eps, c.gguf_layout ? 0.0f : 1.0f);
  const ConfigSource& s = *c.source;
  const auto types = s.texts("layer_types", "");
  const int64_t pattern =
      s.integer("sliding_window_pattern", "attention.sliding_window_pattern").value_or(6);
  const double local_theta = s.real(
                                  "rope_parameters.sliding_attention.rope_theta|"
                                  "rope_local_base_freq",
                                  "rope.freq_base_swa")
                                 .value_or(10000.0);
  const double theta =
      s.real("rope_parameters.full_attention.rope_theta|rope_theta", "rope.freq_base")
          .value_or(1000000.0);
  const RopeSpec local = make_rope(RopeKind::half, c.rope_dim, local_theta, {}, c.context_length);
  const RopeSpec global = make_rope(
      RopeKind::half, c.rope_dim, theta,
      read_rope_scaling(s, {"rope_parameters.full_attention.", "rope_scaling."}), c.context_length);
  for_each_attention(spec, [&](int64_t layer, AttentionSpec& a) {
    const auto i = static_cast<size_t>(layer);
    const bool windowed = i < types.size() ? types[i] == "sliding_attention"
                                           : pattern <= 1 || (layer + 1) % pattern != 0;
    a.window = windowed ? c.sliding_window : 0;
    a.rope = windowed ? local : global;
  });
  spec.logit_softcap = static_cast<float>(
      s.real("final_logit_softcapping", "final_logit_softcapping").value_or(0.0));
  return spec;
}

}  // namespace

extern const Arch kArch_gemma3;
const Arch kArch_gemma3 = {
    "gemma3", {"gemma3_text", "gemma3"}, describe, gemma_post_norm_names(), "Gemma 3, text"};

}  // namespace lm
