#include "engine/infer/logprobs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lm {

double log_sum_exp(std::span<const float> logits) {
  const auto top = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0;
  for (const float z : logits) sum += std::exp(static_cast<double>(z) - top);
  return top + std::log(sum);
}

StepLogprobs step_logprobs(std::span<const float> logits, int32_t chosen, int64_t n) {
  const double whole = log_sum_exp(logits);
  const auto entry = [&](int32_t id) {
    return TokenLogprob{id, static_cast<double>(logits[static_cast<size_t>(id)]) - whole};
  };
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto best = std::min<int64_t>(n, static_cast<int64_t>(ids.size()));
  std::partial_sort(ids.begin(), ids.begin() + best, ids.end(), [&](int32_t a, int32_t b) {
    const float za = logits[static_cast<size_t>(a)], zb = logits[static_cast<size_t>(b)];
    return za != zb ? za > zb : a < b;
  });
  StepLogprobs step{entry(chosen), {}};
  for (int64_t i = 0; i < best; ++i) step.top.push_back(entry(ids[static_cast<size_t>(i)]));
  return step;
}

}  // namespace lm
