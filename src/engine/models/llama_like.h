// The decoder that Llama made common: pre-norm RMSNorm, rotary attention with grouped kv heads,
// gated SiLU MLP. Families that differ in a detail start from this description and change the
// detail.
#pragma once

#include "engine/models/arch.h"

namespace lm {

ModelSpec describe_llama_like(const ModelConfig& config, const TensorMap& tensors, RopeKind rope);

// Hugging Face names of these families.
const std::vector<NameRule>& llama_like_names();

}  // namespace lm
