#include "engine/infer/sampler/sampler.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "engine/core/error.h"
#include "engine/kernels/cpu/kernels.h"

namespace lm {

#define LM_SAMPLER(name) extern const SamplerStep kSampler_##name;
#include "engine/infer/sampler/sampler_list.inc"
#undef LM_SAMPLER

std::vector<const SamplerStep*> Sampler::steps() {
  return {
#define LM_SAMPLER(name) &kSampler_##name,
#include "engine/infer/sampler/sampler_list.inc"
#undef LM_SAMPLER
  };
}

namespace {

bool better(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

void check_range(const char* name, double value, double lo, double hi) {
  LM_CHECK(value >= lo && value <= hi, ErrorCode::bad_option,
           "{} is {}; expected a number in [{}, {}]", name, value, lo, hi);
}

uint64_t choose_seed(int64_t seed) {
  if (seed >= 0) return static_cast<uint64_t>(seed);
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 21) ^ device();  // below 2^53: exact as a Lua number
}

}  // namespace

void Candidates::sort() {
  if (!sorted) std::sort(all.begin(), all.end(), better);
  sorted = true;
}

void Candidates::keep_best(size_t k) {
  if (k < all.size()) {
    if (!sorted)
      std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(k), all.end(),
                       better);
    all.resize(k);
  }
  sort();
}

Sampler::Sampler(const SamplingOptions& o) : options_(o), seed_(choose_seed(o.seed)), rng_(seed_) {
  check_range("temperature", o.temperature, 0, 100);
  check_range("top_k", static_cast<double>(o.top_k), 0, 1e9);
  check_range("top_p", o.top_p, 0, 1);
  check_range("min_p", o.min_p, 0, 1);
  check_range("repetition_penalty", o.repetition_penalty, 0.01, 100);
  check_range("presence_penalty", o.presence_penalty, -100, 100);
  check_range("frequency_penalty", o.frequency_penalty, -100, 100);
  check_range("penalty_window", static_cast<double>(o.penalty_window), -1, 1e12);
}

int32_t Sampler::sample(std::span<const float> logits, std::span<const int32_t> context) {
  const bool greedy = options_.temperature <= 0;
  const bool penalised = kSampler_penalties.active(options_);
  if (greedy && !penalised)
    return static_cast<int32_t>(
        kernels().argmax(logits.data(), static_cast<int64_t>(logits.size())));

  candidates_.all.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i)
    candidates_.all[i] = {static_cast<int32_t>(i), logits[i]};
  candidates_.sorted = false;
  if (greedy) {
    kSampler_penalties.apply(options_, context, candidates_);
    return std::min_element(candidates_.all.begin(), candidates_.all.end(), better)->id;
  }
  for (const SamplerStep* step : steps())
    if (step->active(options_)) step->apply(options_, context, candidates_);

  // One draw from the softmax over what is left. The candidates' order depends on nothing but the
  // logits.
  auto& c = candidates_.all;
  const float top =
      std::max_element(c.begin(), c.end(), [](const Candidate& a, const Candidate& b) {
        return a.logit < b.logit;
      })->logit;
  double total = 0;
  for (const Candidate& x : c) total += std::exp(static_cast<double>(x.logit - top));
  double left = rng_.uniform() * total;
  for (const Candidate& x : c) {
    left -= std::exp(static_cast<double>(x.logit - top));
    if (left < 0) return x.id;
  }
  return c.back().id;
}

}  // namespace lm
