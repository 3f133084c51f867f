// Tokens at least min_p times as likely as the best one: z >= z_max + ln(min_p) (Nguyen et al.
// 2024).
#include <algorithm>
#include <cmath>

#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.min_p > 0.0;
}

void apply(const SamplingOptions& o, std::span<const int32_t>, Candidates& c) {
  float top = c.all[0].logit;
  for (const Candidate& x : c.all) top = std::max(top, x.logit);
  const auto floor = static_cast<float>(top + std::log(o.min_p));
  std::erase_if(c.all, [&](const Candidate& x) { return x.logit < floor; });
}

}  // namespace

extern const SamplerStep kSampler_min_p;
const SamplerStep kSampler_min_p = {"min_p", active, apply};

}  // namespace lm
