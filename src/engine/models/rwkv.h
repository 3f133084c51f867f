// Descriptions of RWKV models. Tensors have the names that GGUF gives those of RWKV 6 and 7.
#pragma once

#include "engine/models/arch.h"

namespace lm {

// version: 4, 5 or 7. Throws bad_file for sizes that do not fit each other.
ModelSpec describe_rwkv(int version, const ModelConfig& config, const TensorMap& tensors);

// Names in the files of RWKV's author (blocks.N.att.*) and, for version 4, of Hugging Face.
std::vector<NameRule> rwkv_names();

}  // namespace lm
