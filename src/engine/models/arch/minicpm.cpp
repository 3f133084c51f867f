// MiniCPM 1/2: Llama's decoder with constant factors: scale_emb on the embedding, scale_depth /
// sqrt(layers) on the branches, dim_model_base / hidden on the logits.
#include <cmath>

#include "engine/models/llama_like.h"
#include "engine/models/moe.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec =
      describe_llama_like(c, tensors, c.gguf_layout ? RopeKind::interleaved : RopeKind::half);
  const ConfigSource& s = *c.source;
  const auto hidden = static_cast<double>(c.hidden_size);
  double residual = 1.0, logits = 1.0;
  if (c.gguf_layout) {
    residual =
        s.real("", "residual_scale").value_or(1.4 / std::sqrt(static_cast<double>(c.n_layers)));
    // Files that have it say what to divide by.
    const auto divisor = s.real("", "logit_scale");
    logits = divisor && *divisor != 0.0 ? 1.0 / *divisor : 256.0 / hidden;
  } else {
    residual = s.real("scale_depth", "").value_or(1.0) / std::sqrt(static_cast<double>(c.n_layers));
    logits = s.real("dim_model_base", "").value_or(hidden) / hidden;
  }
  spec.embedding_scale = static_cast<float>(
      s.real("scale_emb", "embedding_scale").value_or(c.gguf_layout ? 12.0 : 1.0));
  spec.logit_scale = static_cast<float>(logits);
  for_each_branch(spec, [&](Branch& branch) { branch.scale = static_cast<float>(residual); });
  const MoeConfig moe = read_moe(c);
  if (moe.n_experts > 0) add_experts(spec, c, tensors, moe);
  return spec;
}

}  // namespace

extern const Arch kArch_minicpm;
const Arch kArch_minicpm = {"minicpm",
                            {"minicpm"},
                            describe,
                            with_names(moe_names(), llama_like_names(true)),
                            "MiniCPM 1 and 2"};

}  // namespace lm
