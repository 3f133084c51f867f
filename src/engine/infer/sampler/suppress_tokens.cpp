// The tokens of a list are never chosen.
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return !o.suppress_tokens.empty();
}

void apply(const SamplingOptions& o, const SampleInput&, Candidates& c) {
  for (const int32_t id : o.suppress_tokens) c.forbid(id);
}

}  // namespace

extern const SamplerKind kSampler_suppress_tokens;
const SamplerKind kSampler_suppress_tokens = {"suppress_tokens",
                                              SamplerRole::mask,
                                              "suppress_tokens",
                                              "z_i = -inf for i in the list",
                                              "transformers SuppressTokensLogitsProcessor",
                                              active,
                                              stateless<apply>};

}  // namespace lm
