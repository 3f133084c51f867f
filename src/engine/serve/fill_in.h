// Fill-in-the-middle: prompts of models that were trained to write what is missing between two
// texts (Bavarian et al. 2022, arXiv:2207.14255).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/text/tokenizer.h"

namespace lm::serve {

// The tokens that ask for what belongs between prefix and suffix; empty where the vocabulary has no
// tokens for that.
std::vector<int32_t> fill_in_prompt(const Tokenizer& tokenizer, const std::string& prefix,
                                    const std::string& suffix);

}  // namespace lm::serve
