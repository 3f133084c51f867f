// Mirostat: estimates the Zipf exponent of the distribution from its best 100 tokens and keeps as
// many tokens as give the wanted surprise. mu, the bound on the surprise in bits, follows the
// error.
#include <algorithm>

#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.mirostat == 1;
}

constexpr size_t kEstimate = 100;

// Exponent of p_i ~ 1 / i^s by least squares over neighbours; the candidates are sorted.
double zipf_exponent(const std::vector<Candidate>& c) {
  double products = 0, squares = 0;
  for (size_t i = 0; i + 1 < std::min(kEstimate, c.size()); ++i) {
    if (!std::isfinite(c[i + 1].logit)) break;
    const double t = std::log(static_cast<double>(i + 2) / static_cast<double>(i + 1));
    products += t * static_cast<double>(c[i].logit - c[i + 1].logit);  // ln(p_i / p_i+1)
    squares += t * t;
  }
  return squares > 0 ? products / squares : 0;
}

struct Step : SamplerStep {
  const SamplingOptions& o;
  double vocab, mu;
  Step(const SamplingOptions& options, const SamplerSetup& setup)
      : o(options), vocab(static_cast<double>(setup.vocab_size)), mu(2 * options.mirostat_tau) {}

  void apply(const SampleInput&, Candidates& c) override {
    c.sort();
    const double s = zipf_exponent(c.all);
    const double k = std::pow((s - 1) * std::exp2(mu) / (1 - std::pow(vocab, 1 - s)), 1 / s);
    if (std::isfinite(k) && k < static_cast<double>(c.all.size()))
      c.keep_best(static_cast<size_t>(std::max(k, 1.0)));
  }
  void accept(int32_t, double p) override {
    mu -= o.mirostat_eta * (-std::log2(p) - o.mirostat_tau);
  }
};

std::unique_ptr<SamplerStep> make(const SamplingOptions& o, const SamplerSetup& setup) {
  return std::make_unique<Step>(o, setup);
}

}  // namespace

extern const SamplerKind kSampler_mirostat_1;
const SamplerKind kSampler_mirostat_1 = {
    "mirostat_1",
    SamplerRole::choose,
    "mirostat mirostat_tau mirostat_eta",
    "keeps k = ((s - 1) 2^mu / (1 - V^(1 - s)))^(1 / s) tokens, s the Zipf exponent; mu -= eta "
    "(-log2 p - tau), at first 2 tau",
    "Basu et al. 2020, arXiv:2007.14966",
    active,
    make};

}  // namespace lm
