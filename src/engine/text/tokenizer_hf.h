// Reading tokenizer.json into parts, which the folder loader completes from the files beside it.
// Internal to engine/text.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace lm {

struct TokenizerParts;

// Throws bad_file, unsupported. `name` is used in messages.
std::unique_ptr<TokenizerParts> read_tokenizer_json(std::string_view text, const std::string& name);

}  // namespace lm
