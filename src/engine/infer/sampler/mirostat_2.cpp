// Mirostat 2: drops tokens that surprise more than mu bits; mu follows the error of the chosen
// tokens.
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.mirostat == 2;
}

struct Step : SamplerStep {
  const SamplingOptions& o;
  double mu;
  explicit Step(const SamplingOptions& options) : o(options), mu(2 * options.mirostat_tau) {}

  void apply(const SampleInput&, Candidates& c) override {
    c.drop_below(c.log_sum_exp() - mu * std::log(2.0), 1);
  }
  void accept(int32_t, double p) override {
    mu -= o.mirostat_eta * (-std::log2(p) - o.mirostat_tau);
  }
};

std::unique_ptr<SamplerStep> make(const SamplingOptions& o, const SamplerSetup&) {
  return std::make_unique<Step>(o);
}

}  // namespace

extern const SamplerKind kSampler_mirostat_2;
const SamplerKind kSampler_mirostat_2 = {
    "mirostat_2",
    SamplerRole::choose,
    "mirostat mirostat_tau mirostat_eta",
    "-log2 p_i <= mu; mu -= eta (-log2 p - tau), at first 2 tau",
    "Basu et al. 2020, arXiv:2007.14966; llama.cpp mirostat_v2",
    active,
    make};

}  // namespace lm
