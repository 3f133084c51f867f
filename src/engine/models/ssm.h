// Descriptions of state-space blocks.
#pragma once

#include "engine/models/arch.h"

namespace lm {

// Mamba's mixer: tensors ssm_in, ssm_conv1d, ssm_x, ssm_dt, ssm_a, ssm_d, ssm_out of a layer.
// Throws bad_file for sizes that do not fit each other.
SsmSpec describe_mamba(const ModelConfig& config, const TensorMap& tensors, int64_t layer);
// Mamba 2's: ssm_in, ssm_conv1d, ssm_dt.bias, ssm_a, ssm_d, ssm_norm, ssm_out.
SsmSpec describe_mamba2(const ModelConfig& config, const TensorMap& tensors, int64_t layer);

// A model whose layers are one norm and one op.
ModelSpec describe_stack(const ModelConfig& config, const TensorMap& tensors,
                         SsmSpec (*op)(const ModelConfig&, const TensorMap&, int64_t layer));

// Hugging Face names: backbone.layers.N.mixer.*
std::vector<NameRule> mamba_names();

}  // namespace lm
