// Golden cases of the samplers: tests/data/samplers/goldens.json (see generate.py beside it).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/api/sampling.h"

namespace lm_test {

struct SamplerCase {
  struct Step {
    std::vector<int32_t> context;
    size_t n_prompt;
    std::vector<float> logits;
    std::vector<std::optional<float>> expected;  // nothing: cannot be chosen any more
    std::optional<int32_t> chosen;
  };
  std::string sampler, source;
  lm::SamplingOptions options;
  std::vector<int32_t> stop_ids;
  std::vector<Step> steps;
};

const std::vector<SamplerCase>& sampler_cases();
const SamplerCase& first_case(std::string_view sampler);  // throws when there is none

}  // namespace lm_test
