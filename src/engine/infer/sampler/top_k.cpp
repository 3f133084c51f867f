// The k most likely tokens; ties go to the lower id.
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.top_k > 0;
}

void apply(const SamplingOptions& o, const SampleInput&, Candidates& c) {
  c.keep_best(static_cast<size_t>(std::max(o.top_k, o.min_keep)));
}

}  // namespace

extern const SamplerKind kSampler_top_k;
const SamplerKind kSampler_top_k = {"top_k",
                                    SamplerRole::truncate,
                                    "top_k min_keep",
                                    "the k largest z",
                                    "Fan et al. 2018, arXiv:1805.04833",
                                    active,
                                    stateless<apply>};

}  // namespace lm
