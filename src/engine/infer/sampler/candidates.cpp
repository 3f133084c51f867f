#include "engine/infer/sampler/candidates.h"

#include <limits>

#include "engine/core/error.h"
#include "engine/kernels/cpu/kernels.h"

namespace lm {

void Candidates::reset(std::span<const float> logits) {
  all.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) all[i] = {static_cast<int32_t>(i), logits[i]};
  sorted_ = false;
  dense_ = true;
}

void Candidates::reset(std::vector<Candidate> some) {
  all = std::move(some);
  sorted_ = dense_ = false;
}

float* Candidates::find(int32_t id) {
  if (dense_) {
    const auto i = static_cast<size_t>(id);
    return id >= 0 && i < all.size() ? &all[i].logit : nullptr;
  }
  const auto it =
      std::find_if(all.begin(), all.end(), [&](const Candidate& x) { return x.id == id; });
  return it == all.end() ? nullptr : &it->logit;
}

void Candidates::add(int32_t id, float delta) {
  if (float* logit = find(id)) *logit += delta;
  changed();
}

void Candidates::forbid(int32_t id) {
  if (float* logit = find(id)) *logit = -std::numeric_limits<float>::infinity();
  changed();
}

void Candidates::sort() {
  if (!sorted_) std::sort(all.begin(), all.end(), more_likely);
  sorted_ = true;
  dense_ = false;
}

void Candidates::keep_best(size_t k) {
  if (k < all.size()) {
    if (!sorted_)
      std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(k), all.end(),
                       more_likely);
    all.resize(k);
  }
  sort();
}

void Candidates::drop_below(double floor, size_t min_keep) {
  const auto kept =
      static_cast<size_t>(std::count_if(all.begin(), all.end(), [&](const Candidate& x) {
        return static_cast<double>(x.logit) >= floor;
      }));
  if (kept < std::min(min_keep, all.size())) return keep_best(min_keep);
  if (kept == all.size()) return;
  std::erase_if(all, [&](const Candidate& x) { return static_cast<double>(x.logit) < floor; });
  dense_ = false;
}

size_t Candidates::prefix_reaching(size_t n, size_t min_keep, float top, double wanted) const {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    sum += std::exp(static_cast<double>(all[i].logit - top));
    if (sum >= wanted && i + 1 >= min_keep) return i + 1;
  }
  return 0;
}

float Candidates::top() const {
  float best = -std::numeric_limits<float>::infinity();
  for (const Candidate& x : all) {
    LM_CHECK(!std::isnan(x.logit), ErrorCode::bad_option,
             "the logit of token {} is not a number; expected finite logits", x.id);
    best = std::max(best, x.logit);
  }
  LM_CHECK(
      std::isfinite(best), ErrorCode::bad_option,
      "no token is left to choose from: the best of {} logits is {}; banned, allowed and forced "
      "tokens exclude each other, or a hook changed the logits",
      all.size(), best);
  return best;
}

double Candidates::weigh(float best) {
  const size_t n = all.size();
  weights_.resize(n);
  for (size_t i = 0; i < n; ++i) weights_[i] = all[i].logit - best;
  kernels().exponentials(weights_.data(), static_cast<int64_t>(n));
  double sum[4] = {};  // four chains: one would wait for each addition
  for (size_t i = 0; i < n; ++i) sum[i % 4] += static_cast<double>(weights_[i]);
  return sum[0] + sum[1] + sum[2] + sum[3];
}

double Candidates::log_sum_exp() {
  const float best = top();
  return static_cast<double>(best) + std::log(weigh(best));
}

double Candidates::entropy() {
  const double whole = log_sum_exp();
  double sum = 0;
  for (const Candidate& x : all) {
    const double log_p = static_cast<double>(x.logit) - whole;
    if (std::isfinite(log_p)) sum -= std::exp(log_p) * log_p;
  }
  return sum;
}

}  // namespace lm
