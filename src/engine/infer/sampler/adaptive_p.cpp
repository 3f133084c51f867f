// Prefers tokens whose probability is near a target, which moves so that the chosen ones have that
// probability on average.
#include <algorithm>
#include <unordered_map>

#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.adaptive_target >= 0;
}

// The curve is part of the definition, not of the options: quadratic near the target, linear far
// from it.
constexpr double kWidth = 0.3, kPeak = 5.0, kSharpness = 10.0;

struct Step : SamplerStep {
  const SamplingOptions& o;
  double weighted, weights;  // of the probabilities of chosen tokens, decaying
  std::unordered_map<int32_t, double> before;

  explicit Step(const SamplingOptions& options)
      : o(options),
        weighted(options.adaptive_target / (1 - options.adaptive_decay)),
        weights(1 / (1 - options.adaptive_decay)) {}

  void apply(const SampleInput&, Candidates& c) override {
    const double target = std::clamp(2 * o.adaptive_target - weighted / weights, 0.0, 1.0);
    const double whole = c.log_sum_exp();
    before.clear();
    for (Candidate& x : c.all) {
      if (!std::isfinite(x.logit)) continue;
      const double p = std::exp(static_cast<double>(x.logit) - whole);
      before[x.id] = p;
      const double d = std::fabs(p - target) / kWidth;
      x.logit = static_cast<float>(kPeak - kSharpness * d * d / (1 + d));
    }
    c.changed();
  }
  void accept(int32_t id, double) override {
    weighted = before[id] + o.adaptive_decay * weighted;
    weights = 1 + o.adaptive_decay * weights;
  }
};

std::unique_ptr<SamplerStep> make(const SamplingOptions& o, const SamplerSetup&) {
  return std::make_unique<Step>(o);
}

}  // namespace

extern const SamplerKind kSampler_adaptive_p;
const SamplerKind kSampler_adaptive_p = {
    "adaptive_p",
    SamplerRole::choose,
    "adaptive_target adaptive_decay",
    "z' = 5 - 10 d^2 / (1 + d), d = |p - target'| / 0.3, target' = 2 target - mean of chosen p",
    "llama.cpp pull request 17927",
    active,
    make};

}  // namespace lm
