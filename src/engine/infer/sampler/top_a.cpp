// Tokens at least a times as likely as the square of the best one's probability.
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.top_a > 0;
}

void apply(const SamplingOptions& o, const SampleInput&, Candidates& c) {
  const double whole = c.log_sum_exp();
  const double log_p = static_cast<double>(c.top()) - whole;
  c.drop_below(whole + std::log(o.top_a) + 2 * log_p, static_cast<size_t>(o.min_keep));
}

}  // namespace

extern const SamplerKind kSampler_top_a;
const SamplerKind kSampler_top_a = {"top_a",
                                    SamplerRole::truncate,
                                    "top_a min_keep",
                                    "p_i >= a * p_max^2",
                                    "KoboldAI and KoboldCpp, top_a",
                                    active,
                                    stateless<apply>};

}  // namespace lm
