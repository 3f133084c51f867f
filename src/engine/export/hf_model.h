// Hugging Face folders as GGUF models: names and layouts through the architecture's rules,
// configuration through what the architecture asks for, tokenizer and chat template as GGUF stores
// them.
#pragma once

#include <string>

#include "engine/export/gguf_model.h"

namespace lm {

// Throws not_found, io, bad_file, unsupported (a tensor the architecture does not know, a tokenizer
// or RoPE scaling that GGUF has no place for).
GgufModel hf_model(const std::string& folder);

// The tokenizer.* keys from a folder's tokenizer.json, tokenizer_config.json,
// generation_config.json and chat_template.jinja. vocab_size: rows of the embedding; missing ids
// become unused tokens. Nothing is set when the folder has no tokenizer.json.
void set_tokenizer(const std::string& folder, int64_t vocab_size, GgufMetadata* metadata);

}  // namespace lm
