// The steps of a Hugging Face tokenizer.json (normalizer, pre_tokenizer, post_processor, decoder)
// from their JSON descriptions, one file for each section. Add one: a row in the section's table.
// Internal to engine/text.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/text/tokenizer_parts.h"

namespace lm {

// Each appends to `parts`; null descriptions do nothing. Throw unsupported naming the step's type.
// True when the text is in GPT-2's byte alphabet afterwards.
bool add_normalizers(const nlohmann::json& description, TokenizerParts& parts);
// `byte_level`: what add_normalizers said; true as well when a ByteLevel step is among them.
bool add_pre_tokenizers(const nlohmann::json& description, TokenizerParts& parts, bool byte_level);
void add_post_processor(const nlohmann::json& description, TokenizerParts& parts);
// Sets the vocabulary's bytes and what happens to spaces at the ends.
void add_decoder(const nlohmann::json& description, TokenizerParts& parts, bool byte_level);

}  // namespace lm
