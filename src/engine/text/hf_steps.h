// The steps of a Hugging Face tokenizer.json (normalizer, pre_tokenizer, post_processor, decoder)
// from their JSON descriptions. Add one: a row in the table of its section in hf_steps.cpp.
// Internal to engine/text.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/text/tokenizer_parts.h"

namespace lm {

// Each appends to `parts`; null descriptions do nothing. Throw unsupported naming the step's type.
void add_normalizers(const nlohmann::json& description, TokenizerParts& parts);
// Sets *byte_level when a ByteLevel step is among them.
void add_pre_tokenizers(const nlohmann::json& description, TokenizerParts& parts, bool* byte_level);
void add_post_processor(const nlohmann::json& description, TokenizerParts& parts);
// Sets the vocabulary's bytes and strip_leading_space.
void add_decoder(const nlohmann::json& description, TokenizerParts& parts, bool byte_level);

}  // namespace lm
