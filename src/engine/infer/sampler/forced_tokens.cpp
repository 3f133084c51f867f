// The answer begins with the tokens of a list.
#include <limits>

#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return !o.forced_token_ids.empty();
}

void apply(const SamplingOptions& o, const SampleInput& in, Candidates& c) {
  const size_t n = in.produced().size();
  if (n >= o.forced_token_ids.size()) return;
  for (Candidate& x : c.all)
    x.logit = x.id == o.forced_token_ids[n] ? 0.0f : -std::numeric_limits<float>::infinity();
  c.changed();
}

}  // namespace

extern const SamplerKind kSampler_forced_tokens;
const SamplerKind kSampler_forced_tokens = {
    "forced_tokens",
    SamplerRole::mask,
    "forced_token_ids",
    "at step n: z_i = 0 for i = forced_token_ids[n], else -inf",
    "transformers ForcedBOSTokenLogitsProcessor, for any number of tokens",
    active,
    stateless<apply>};

}  // namespace lm
