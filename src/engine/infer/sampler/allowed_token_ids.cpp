// Only the tokens of a list may be chosen.
#include <limits>
#include <unordered_set>

#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return !o.allowed_token_ids.empty();
}

void apply(const SamplingOptions& o, const SampleInput&, Candidates& c) {
  const std::unordered_set<int32_t> allowed(o.allowed_token_ids.begin(), o.allowed_token_ids.end());
  for (Candidate& x : c.all)
    if (!allowed.contains(x.id)) x.logit = -std::numeric_limits<float>::infinity();
  c.changed();
}

}  // namespace

extern const SamplerKind kSampler_allowed_token_ids;
const SamplerKind kSampler_allowed_token_ids = {
    "allowed_token_ids",      SamplerRole::mask,
    "allowed_token_ids",      "z_i = -inf unless i is in the list",
    "vLLM allowed_token_ids", active,
    stateless<apply>};

}  // namespace lm
