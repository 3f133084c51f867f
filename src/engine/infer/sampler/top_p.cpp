// The smallest set of most likely tokens whose probabilities reach top_p; the token that crosses is
// kept (Holtzman et al. 2020). Partial sorting: most of a vocabulary's mass sits in a few tokens.
#include <algorithm>
#include <cmath>

#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.top_p < 1.0;
}

// Number of leading tokens (sorted) that reach `wanted`; 0 when they do not.
size_t prefix_reaching(const std::vector<Candidate>& c, size_t n, float top, double wanted) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    sum += std::exp(static_cast<double>(c[i].logit - top));
    if (sum >= wanted) return i + 1;
  }
  return 0;
}

void apply(const SamplingOptions& o, std::span<const int32_t>, Candidates& c) {
  auto& all = c.all;
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  const float top = std::min_element(all.begin(), all.end(), better)->logit;
  double total = 0;
  for (const Candidate& x : all) total += std::exp(static_cast<double>(x.logit - top));
  const double wanted = o.top_p * total;
  for (size_t n = c.sorted ? all.size() : std::min<size_t>(128, all.size());;
       n = std::min(all.size(), n * 8)) {
    if (!c.sorted)
      std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n), all.end(),
                        better);
    const size_t keep = prefix_reaching(all, n, top, wanted);
    if (keep == 0 && n < all.size()) continue;
    if (keep > 0) all.resize(keep);
    c.sorted = true;
    return;
  }
}

}  // namespace

extern const SamplerStep kSampler_top_p;
const SamplerStep kSampler_top_p = {"top_p", active, apply};

}  // namespace lm
