// Tokens of at least a fixed probability.
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.epsilon_cutoff > 0;
}

void apply(const SamplingOptions& o, const SampleInput&, Candidates& c) {
  c.drop_below(c.log_sum_exp() + std::log(o.epsilon_cutoff), static_cast<size_t>(o.min_keep));
}

}  // namespace

extern const SamplerKind kSampler_epsilon_cutoff;
const SamplerKind kSampler_epsilon_cutoff = {"epsilon_cutoff",
                                             SamplerRole::truncate,
                                             "epsilon_cutoff min_keep",
                                             "p_i >= epsilon",
                                             "Hewitt et al. 2022, arXiv:2210.15191",
                                             active,
                                             stateless<apply>};

}  // namespace lm
