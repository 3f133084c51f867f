// Log-probabilities from logits, summed in double precision.
#pragma once

#include <cstdint>
#include <span>

#include "engine/api/generate.h"

namespace lm {

// ln(sum of exp) over all logits, so that logprob = logit - log_sum_exp.
double log_sum_exp(std::span<const float> logits);

// The log-probability of `chosen` and those of the n best tokens (fewer where the vocabulary is
// smaller).
StepLogprobs step_logprobs(std::span<const float> logits, int32_t chosen, int64_t n);

}  // namespace lm
