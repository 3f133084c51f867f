// Mixes the logits of two streams; see api/guidance.h.
#pragma once

#include <cstdint>
#include <span>

#include "engine/api/guidance.h"

namespace lm {

// Throws bad_option when the two models have different vocabularies or an option is out of range.
void check_guidance(const GuidanceOptions& options, int64_t vocab_size);

// Evaluates the other stream up to `produced` and replaces `logits` by the mixture.
void guide(const GuidanceOptions& options, std::span<const int32_t> produced,
           std::span<float> logits);

}  // namespace lm
