// The constant factors of Granite models.
#pragma once

#include "engine/models/arch.h"

namespace lm {

// Sets the factors on embedding, scores, residual branches and logits that the file names.
void apply_granite_factors(const ModelConfig& config, ModelSpec* spec);

}  // namespace lm
