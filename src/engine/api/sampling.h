// How the next token is chosen: what a caller may ask for. Rules and sources of the samplers are in
// docs/reference/samplers.md.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lm {

// Defaults switch everything off. temperature 0 is greedy: the most likely token after masks and
// penalties, ties to the lowest id. seed -1: from the system.
struct SamplingOptions {
#define LM_OPTION_NUMBER(name, value, least, most, doc) double name = value;
#define LM_OPTION_INTEGER(name, value, least, most, doc) int64_t name = value;
#define LM_OPTION_BOOLEAN(name, value, doc) bool name = value;
#include "engine/api/sampling_options.inc"
#undef LM_OPTION_NUMBER
#undef LM_OPTION_INTEGER
#undef LM_OPTION_BOOLEAN

  std::vector<std::pair<int32_t, float>> logit_bias;  // added to the logits of these ids
  std::vector<int32_t> allowed_token_ids;             // only these; empty: all
  std::vector<int32_t> suppress_tokens;               // never these
  std::vector<int32_t> forced_token_ids;              // the first tokens of the answer
  std::vector<std::vector<int32_t>> bad_words;        // sequences that must not be completed
  // DRY: a repeat does not reach across these texts.
  std::vector<std::string> dry_sequence_breakers = {"\n", ":", "\"", "*"};
  // The same as token sequences; generation fills it from the texts (see sampler/dry_breakers.h).
  std::vector<std::vector<int32_t>> dry_breaker_ids;
  // One preset ("transformers", "llama.cpp", "vllm") or names of samplers in the order in which
  // they act. Empty: "transformers". Masks (logit_bias ... min_tokens) that are not named act
  // first.
  std::vector<std::string> samplers;
};

}  // namespace lm
