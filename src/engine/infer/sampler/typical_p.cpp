// Locally typical sampling: the tokens whose information content is nearest to the entropy, until
// their probabilities reach typical_p.
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.typical_p < 1.0;
}

void apply(const SamplingOptions& o, const SampleInput&, Candidates& c) {
  const double whole = c.log_sum_exp(), entropy = c.entropy();
  const auto distance = [&](const Candidate& x) {
    return std::fabs(whole - static_cast<double>(x.logit) - entropy);
  };
  c.keep_share(o.typical_p, static_cast<size_t>(o.min_keep), false,
               [&](const Candidate& a, const Candidate& b) {
                 const double da = distance(a), db = distance(b);
                 return da != db ? da < db : more_likely(a, b);
               });
}

}  // namespace

extern const SamplerKind kSampler_typical_p;
const SamplerKind kSampler_typical_p = {
    "typical_p",
    SamplerRole::truncate,
    "typical_p min_keep",
    "smallest prefix of rising |-ln p_i - H| with cumulative p >= typical_p",
    "Meister et al. 2022, arXiv:2202.00666",
    active,
    stateless<apply>};

}  // namespace lm
