// Rotary positions with every published scaling, from a configuration to a RopeSpec.
#pragma once

#include "engine/formats/model_config.h"
#include "engine/models/model_spec.h"

namespace lm {

// theta^(-2i/dim) for i < dim/2, changed as `scaling` says: linear (Chen et al. 2023), dynamic NTK,
// yarn (Peng et al. 2023), llama3 (Llama 3.1), longrope (Ding et al. 2024). context: the model's
// full context length. Throws unsupported for other scalings, bad_file for factors that do not fit.
RopeSpec make_rope(RopeKind kind, int64_t dim, double theta, const RopeScalingConfig& scaling,
                   int64_t context);

// What YaRN multiplies cos and sin with: 0.1 mscale ln(factor) + 1, or 1 where nothing is
// stretched.
double yarn_magnitude(double factor, double mscale);

// The rotation of a model whose layers all use the same one. GGUF keeps the factors of llama3 and
// longrope in tensors (rope_freqs, rope_factors_short, rope_factors_long): they are read from
// there.
RopeSpec model_rope(RopeKind kind, const ModelConfig& config, const TensorMap& tensors);

// Tokens that the model can take with its scaling: config.json's number is the one before it for
// dynamic NTK, and sometimes for YaRN.
int64_t scaled_context(const ModelConfig& config);

}  // namespace lm
