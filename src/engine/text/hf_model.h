// The "model" section of a tokenizer.json: BPE, Unigram, WordPiece, WordLevel. Internal to
// engine/text.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "engine/text/tokenizer_parts.h"

namespace lm {

// The section with its two long members left as text. `merges` may also be the lines of a
// merges.txt.
struct HfModel {
  const nlohmann::json& options;
  std::string_view vocab, merges;  // empty when absent
  std::string name;                // of the file, for messages
};

// Sets vocab, model, unk, kind. Throws bad_file, unsupported.
void load_hf_model(const HfModel& model, bool byte_level, TokenizerParts& parts);

}  // namespace lm
