#include "engine/models/granite_like.h"

#include "engine/core/error.h"

namespace lm {

void apply_granite_factors(const ModelConfig& c, ModelSpec* spec) {
  const auto factor = [&](const char* hf, const char* gguf, double fallback) {
    return static_cast<float>(c.source->real(hf, gguf).value_or(fallback));
  };
  spec->embedding_scale = factor("embedding_multiplier", "embedding_scale", 1.0);
  const float divisor = factor("logits_scaling", "logit_scale", 1.0);
  LM_CHECK(divisor != 0.0f, ErrorCode::bad_file, "{}: logits are divided by 0", c.source->where());
  spec->logit_scale = 1.0f / divisor;
  const float residual = factor("residual_multiplier", "residual_scale", 1.0);
  for_each_branch(*spec, [&](Branch& branch) {
    branch.scale = residual;
    if (auto* a = std::get_if<AttentionSpec>(&branch.op))
      a->scale = factor("attention_multiplier", "attention.scale", static_cast<double>(a->scale));
  });
}

}  // namespace lm
