// Divides the logits by the temperature.
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.temperature > 0 && o.temperature != 1.0 && o.dynatemp_range <= 0;
}

void apply(const SamplingOptions& o, const SampleInput&, Candidates& c) {
  const auto inverse = static_cast<float>(1.0 / o.temperature);
  for (Candidate& x : c.all) x.logit *= inverse;
}

}  // namespace

extern const SamplerKind kSampler_temperature;
const SamplerKind kSampler_temperature = {"temperature",        SamplerRole::scale,
                                          "temperature",        "z / T; 0: the most likely token",
                                          "Ackley et al. 1985", active,
                                          stateless<apply>};

}  // namespace lm
