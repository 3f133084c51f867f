// Tokens at least min_p times as likely as the best one.
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.min_p > 0.0;
}

void apply(const SamplingOptions& o, const SampleInput&, Candidates& c) {
  c.drop_below(
      static_cast<double>(static_cast<float>(static_cast<double>(c.top()) + std::log(o.min_p))),
      static_cast<size_t>(o.min_keep));
}

}  // namespace

extern const SamplerKind kSampler_min_p;
const SamplerKind kSampler_min_p = {"min_p",
                                    SamplerRole::truncate,
                                    "min_p min_keep",
                                    "p_i >= min_p * p_max",
                                    "Nguyen et al. 2024, arXiv:2407.01082",
                                    active,
                                    stateless<apply>};

}  // namespace lm
