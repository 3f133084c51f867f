// The decoder of the Gemma family: scaled embedding, norm weights stored as w - 1 in Hugging Face
// files, GeGLU, tied output.
#pragma once

#include "engine/models/arch.h"

namespace lm {

// Norms after attention and MLP (Gemma 2 and 3) where the file has them.
ModelSpec describe_gemma(const ModelConfig& config, const TensorMap& tensors);

std::vector<NameRule> gemma_names();
// With the four norms of Gemma 2 and 3.
std::vector<NameRule> gemma_post_norm_names();

}  // namespace lm
