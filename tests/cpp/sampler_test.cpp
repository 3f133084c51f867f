// Samplers against their definitions, evaluated by brute force in double precision.
#include "engine/infer/sampler/sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "engine/core/error.h"

using namespace lm;

namespace {

std::vector<float> some_logits(size_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> v(n);
  for (float& x : v) x = static_cast<float>((rng.uniform() - 0.5) * 12);
  return v;
}

Candidates candidates_of(const std::vector<float>& logits) {
  Candidates c;
  for (size_t i = 0; i < logits.size(); ++i) c.all.push_back({static_cast<int32_t>(i), logits[i]});
  return c;
}

const SamplerStep& step(const char* name) {
  for (const SamplerStep* s : Sampler::steps())
    if (std::string(s->name) == name) return *s;
  throw std::runtime_error(name);
}

std::vector<double> softmax(const std::vector<float>& logits) {
  const double top = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  std::vector<double> p;
  for (const float x : logits) p.push_back(std::exp(static_cast<double>(x) - top));
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= sum;
  return p;
}

std::vector<int32_t> by_probability(const std::vector<float>& logits) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  return ids;
}

std::vector<int32_t> sorted_ids(const Candidates& c) {
  std::vector<int32_t> ids;
  for (const Candidate& x : c.all) ids.push_back(x.id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace

TEST_CASE("top_k, top_p and min_p keep exactly the tokens of their definitions") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto logits = some_logits(700, seed);
    const auto p = softmax(logits);
    const auto order = by_probability(logits);
    SamplingOptions o;
    for (const int64_t k : {1, 5, 699, 5000}) {
      o.top_k = k;
      Candidates c = candidates_of(logits);
      step("top_k").apply(o, {}, c);
      std::vector<int32_t> expected(order.begin(), order.begin() + std::min<int64_t>(k, 700));
      std::sort(expected.begin(), expected.end());
      CHECK(sorted_ids(c) == expected);
    }
    for (const double top_p : {0.01, 0.5, 0.9, 0.9999}) {
      o.top_p = top_p;
      Candidates c = candidates_of(logits);
      step("top_p").apply(o, {}, c);
      std::vector<int32_t> expected;
      double sum = 0;
      for (size_t i = 0; i < order.size() && sum < top_p; ++i) {  // the token that crosses is kept
        expected.push_back(order[i]);
        sum += p[static_cast<size_t>(order[i])];
      }
      std::sort(expected.begin(), expected.end());
      CHECK(sorted_ids(c) == expected);
    }
    o.min_p = 0.05;
    Candidates c = candidates_of(logits);
    step("min_p").apply(o, {}, c);
    std::vector<int32_t> expected;
    for (size_t i = 0; i < p.size(); ++i)
      if (p[i] >= 0.05 * p[static_cast<size_t>(order[0])])
        expected.push_back(static_cast<int32_t>(i));
    CHECK(sorted_ids(c) == expected);
  }
}

TEST_CASE("penalties follow CTRL's and OpenAI's formulas and look only at the window") {
  SamplingOptions o;
  o.repetition_penalty = 2;
  o.presence_penalty = 0.5;
  o.frequency_penalty = 0.25;
  o.penalty_window = 4;
  Candidates c = candidates_of({3.0f, -2.0f, 1.0f, 4.0f});
  const std::vector<int32_t> context = {3, 0, 1, 1, 0};  // 3 is outside the window
  step("penalties").apply(o, context, c);
  CHECK(c.all[0].logit == doctest::Approx(3.0 / 2 - 0.5 - 2 * 0.25));
  CHECK(c.all[1].logit == doctest::Approx(-2.0 * 2 - 0.5 - 2 * 0.25));
  CHECK(c.all[2].logit == 1.0f);
  CHECK(c.all[3].logit == 4.0f);
}

TEST_CASE(
    "greedy takes the first of equal logits; a seed fixes the draws; draws follow the "
    "probabilities") {
  SamplingOptions greedy;
  CHECK(Sampler(greedy).sample(std::vector<float>{1, 5, 5, 2}, {}) == 1);
  greedy.repetition_penalty = 1.5;
  CHECK(Sampler(greedy).sample(std::vector<float>{1, 5, 5, 2}, std::vector<int32_t>{1}) == 2);

  const auto logits = some_logits(50, 3);
  SamplingOptions o;
  o.temperature = 1;
  o.seed = 42;
  Sampler a(o), b(o);
  for (int i = 0; i < 100; ++i) CHECK(a.sample(logits, {}) == b.sample(logits, {}));

  const auto p = softmax(logits);
  std::map<int32_t, int> counts;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) ++counts[a.sample(logits, {})];
  for (size_t i = 0; i < p.size(); ++i) {
    const double expected = p[i] * kDraws, sigma = std::sqrt(expected * (1 - p[i])) + 1;
    CHECK(std::fabs(counts[static_cast<int32_t>(i)] - expected) <= 5 * sigma);
  }
}

TEST_CASE("sampling options out of range are named") {
  SamplingOptions o;
  o.top_p = 1.5;
  CHECK_THROWS_WITH_AS(Sampler{o}, doctest::Contains("top_p is 1.5"), Error);
  o = {};
  o.temperature = -1;
  CHECK_THROWS_WITH_AS(Sampler{o}, doctest::Contains("temperature is -1"), Error);
  o = {};
  o.seed = -1;
  CHECK(Sampler(o).seed() != Sampler(o).seed());
}
