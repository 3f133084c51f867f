// Tokenizers in the format of llama2.c as plain data.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "engine/text/vocab.h"

namespace lm {

struct Llama2cToken {
  std::string text;  // with "\u2581" for a space, and BOS and EOS as they were before the export
  float score = 0.0f;
  TokenKind kind{};
};

// The tokens by id. Throws bad_file.
std::vector<Llama2cToken> read_llama2c_tokens(std::span<const std::byte> bytes,
                                              const std::string& name);

}  // namespace lm
