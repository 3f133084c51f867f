// The metadata of a GGUF model from a Hugging Face configuration: what llama.cpp's loader asks for,
// and what the architecture reads.
#pragma once

#include <string>

#include "engine/formats/gguf_writer.h"
#include "engine/models/arch.h"

namespace lm {

// general.* and <architecture>.* keys. spec: what the file will describe (export/fold.h); config:
// of the Hugging Face folder, already asked by `arch`.
void set_model_keys(const Arch& arch, const ModelConfig& config, const ModelSpec& spec,
                    const std::string& name, GgufMetadata* metadata);

}  // namespace lm
