// Descriptions of RWKV models. Tensors have the names that GGUF gives those of RWKV 6 and 7.
#pragma once

#include <optional>

#include "engine/models/arch.h"

namespace lm {

// version: 4, 5 or 7. Throws bad_file for sizes that do not fit each other.
ModelSpec describe_rwkv(int version, const ModelConfig& config, const TensorMap& tensors);

// Names in the files of RWKV's author (blocks.N.att.*) and, for version 4, of Hugging Face.
std::vector<NameRule> rwkv_names();

// The configuration of a checkpoint in the author's naming, from its tensors' shapes: such files
// have none of their own. nullopt when the tensors are not RWKV's; bad_file when their shapes
// cannot be.
std::optional<ModelConfig> rwkv_config(const TensorMap& tensors, bool gguf_layout,
                                       const std::string& name);

}  // namespace lm
