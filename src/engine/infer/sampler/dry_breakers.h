// DRY's sequence breakers are texts; the sampler needs tokens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/api/sampling.h"

namespace lm {

class Tokenizer;

// The token sequences in which one of `texts` can occur: every token that contains it, and every
// token that ends with its beginning, followed by the tokens of the rest (llama.cpp's rule). Looks
// at the whole vocabulary.
std::vector<std::vector<int32_t>> dry_breakers(const Tokenizer& tokenizer,
                                               const std::vector<std::string>& texts);
// The options with dry_breaker_ids filled in from the texts, where DRY is on.
SamplingOptions with_dry_breakers(SamplingOptions options, const Tokenizer& tokenizer);

}  // namespace lm
