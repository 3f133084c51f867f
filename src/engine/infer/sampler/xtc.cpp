// Exclude top choices: with some probability all likely tokens but the least likely of them are
// dropped.
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.xtc_probability > 0;
}

void apply(const SamplingOptions& o, const SampleInput& in, Candidates& c) {
  if (o.xtc_threshold > 0.5 || in.rng->uniform() >= o.xtc_probability) return;
  const double floor = c.log_sum_exp() + std::log(o.xtc_threshold);
  c.sort();
  size_t likely = 0;
  while (likely < c.all.size() && static_cast<double>(c.all[likely].logit) >= floor) ++likely;
  if (likely < 2 || c.all.size() - (likely - 1) < static_cast<size_t>(o.min_keep)) return;
  c.all.erase(c.all.begin(), c.all.begin() + static_cast<std::ptrdiff_t>(likely - 1));
}

}  // namespace

extern const SamplerKind kSampler_xtc;
const SamplerKind kSampler_xtc = {
    "xtc",
    SamplerRole::truncate,
    "xtc_probability xtc_threshold min_keep",
    "with probability q: of the tokens with p >= t all but the least likely are dropped",
    "text-generation-webui pull request 6335",
    active,
    stateless<apply>};

}  // namespace lm
