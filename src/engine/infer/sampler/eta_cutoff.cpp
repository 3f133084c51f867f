// Tokens of at least a probability that falls with the entropy.
#include <algorithm>

#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.eta_cutoff > 0;
}

void apply(const SamplingOptions& o, const SampleInput&, Candidates& c) {
  const double eta = std::min(o.eta_cutoff, std::sqrt(o.eta_cutoff) * std::exp(-c.entropy()));
  c.drop_below(c.log_sum_exp() + std::log(eta), static_cast<size_t>(o.min_keep));
}

}  // namespace

extern const SamplerKind kSampler_eta_cutoff;
const SamplerKind kSampler_eta_cutoff = {"eta_cutoff",
                                         SamplerRole::truncate,
                                         "eta_cutoff min_keep",
                                         "p_i >= min(eta, sqrt(eta) exp(-H))",
                                         "Hewitt et al. 2022, arXiv:2210.15191",
                                         active,
                                         stateless<apply>};

}  // namespace lm
