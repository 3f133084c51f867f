// Checkpoints of llama2.c as GGUF models.
#pragma once

#include <memory>
#include <string>

#include "engine/export/gguf_model.h"

namespace lm {

struct Llama2cModel {
  GgufMetadata metadata;
  TensorFile file;  // GGUF's names
};

// The .bin file with the tokenizer beside it ("tok<vocabulary>.bin" or "tokenizer.bin"), if there
// is one. Throws io, bad_file.
Llama2cModel llama2c_model(const std::string& path);
GgufModel gguf_model(const Llama2cModel& model);

}  // namespace lm
