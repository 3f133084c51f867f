// z / T.
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.temperature > 0 && o.temperature != 1.0;
}

void apply(const SamplingOptions& o, std::span<const int32_t>, Candidates& c) {
  const auto inverse = static_cast<float>(1.0 / o.temperature);
  for (Candidate& x : c.all) x.logit *= inverse;
}

}  // namespace

extern const SamplerStep kSampler_temperature;
const SamplerStep kSampler_temperature = {"temperature", active, apply};

}  // namespace lm
