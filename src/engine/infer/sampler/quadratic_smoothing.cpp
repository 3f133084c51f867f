// Bends the logits around the best one: near it they come closer, far from it they fall faster.
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.smoothing_factor > 0;
}

void apply(const SamplingOptions& o, const SampleInput&, Candidates& c) {
  const double top = static_cast<double>(c.top());
  const double k = o.smoothing_factor * (3 - o.smoothing_curve) / 2;
  const double s = o.smoothing_factor * (o.smoothing_curve - 1) / 2;
  for (Candidate& x : c.all) {
    if (!std::isfinite(x.logit)) continue;
    const double d = static_cast<double>(x.logit) - top;
    x.logit = static_cast<float>(top - k * d * d + s * d * d * d);
  }
  c.changed();  // beyond a curve of 3 the order may change
}

}  // namespace

extern const SamplerKind kSampler_quadratic_smoothing;
const SamplerKind kSampler_quadratic_smoothing = {
    "quadratic_smoothing",
    SamplerRole::scale,
    "smoothing_factor smoothing_curve",
    "z' = z_max - f (3 - c) / 2 d^2 + f (c - 1) / 2 d^3, d = z - z_max",
    "KoboldCpp and text-generation-webui, smoothing_factor",
    active,
    stateless<apply>};

}  // namespace lm
