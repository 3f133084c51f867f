// The smallest set of most likely tokens whose probabilities reach top_p; the token that crosses
// is kept.
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.top_p < 1.0;
}

void apply(const SamplingOptions& o, const SampleInput&, Candidates& c) {
  c.keep_share(o.top_p, static_cast<size_t>(o.min_keep), c.sorted(), more_likely);
}

}  // namespace

extern const SamplerKind kSampler_top_p;
const SamplerKind kSampler_top_p = {"top_p",
                                    SamplerRole::truncate,
                                    "top_p min_keep",
                                    "smallest prefix of falling p with cumulative p >= top_p",
                                    "Holtzman et al. 2020, arXiv:1904.09751",
                                    active,
                                    stateless<apply>};

}  // namespace lm
