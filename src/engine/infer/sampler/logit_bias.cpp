// Adds a number to the logits of chosen tokens, before everything else.
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return !o.logit_bias.empty();
}

void apply(const SamplingOptions& o, const SampleInput&, Candidates& c) {
  for (const auto& [id, bias] : o.logit_bias) c.add(id, bias);
}

}  // namespace

extern const SamplerKind kSampler_logit_bias;
const SamplerKind kSampler_logit_bias = {"logit_bias",    SamplerRole::mask, "logit_bias",
                                         "z_i + bias_i",  "OpenAI API",      active,
                                         stateless<apply>};

}  // namespace lm
