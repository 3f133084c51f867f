// A temperature between temperature - range and temperature + range: low where the model is sure,
// high where its entropy is.
#include <algorithm>

#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.temperature > 0 && o.dynatemp_range > 0;
}

void apply(const SamplingOptions& o, const SampleInput&, Candidates& c) {
  const auto n = std::count_if(c.all.begin(), c.all.end(),
                               [](const Candidate& x) { return std::isfinite(x.logit); });
  if (n < 2) return;
  const double low = std::max(0.0, o.temperature - o.dynatemp_range);
  const double high = o.temperature + o.dynatemp_range;
  const double certainty = c.entropy() / std::log(static_cast<double>(n));
  const double t = low + (high - low) * std::pow(certainty, o.dynatemp_exponent);
  if (t <= 0) return c.keep_best(1);
  for (Candidate& x : c.all) x.logit = static_cast<float>(static_cast<double>(x.logit) / t);
}

}  // namespace

extern const SamplerKind kSampler_dynamic_temperature;
const SamplerKind kSampler_dynamic_temperature = {
    "dynamic_temperature",
    SamplerRole::scale,
    "temperature dynatemp_range dynatemp_exponent",
    "z / T' with T' = (T - r) + 2 r (H / ln n)^e, H the entropy of the n candidates",
    "Zhu et al. 2023, arXiv:2309.02772; llama.cpp temp_ext",
    active,
    stateless<apply>};

}  // namespace lm
