// Tokens within n standard deviations of the best logit; the deviation is the population's, over
// logits that are not -infinity.
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.top_n_sigma > 0;
}

void apply(const SamplingOptions& o, const SampleInput&, Candidates& c) {
  double sum = 0, squares = 0, n = 0;
  for (const Candidate& x : c.all) {
    if (!std::isfinite(x.logit)) continue;
    const auto z = static_cast<double>(x.logit);
    sum += z;
    squares += z * z;
    ++n;
  }
  const double mean = sum / n, sigma = std::sqrt(std::max(0.0, squares / n - mean * mean));
  c.drop_below(static_cast<double>(c.top()) - o.top_n_sigma * sigma,
               static_cast<size_t>(o.min_keep));
}

}  // namespace

extern const SamplerKind kSampler_top_n_sigma;
const SamplerKind kSampler_top_n_sigma = {"top_n_sigma",
                                          SamplerRole::truncate,
                                          "top_n_sigma min_keep",
                                          "z_i >= z_max - n sigma(z)",
                                          "Tang et al. 2024, arXiv:2411.07641",
                                          active,
                                          stateless<apply>};

}  // namespace lm
