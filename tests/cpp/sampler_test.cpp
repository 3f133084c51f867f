// The chain of samplers: properties that hold for every sampler of the list, orders, draws.
// What each one computes is checked in sampler_golden_test.cpp.
#include "engine/infer/sampler/sampler.h"

#include <doctest/doctest.h>

#include <map>
#include <numeric>

#include "engine/core/error.h"
#include "sampler_cases.h"

using namespace lm;

namespace {

std::vector<float> some_logits(size_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> v(n);
  for (float& x : v) x = static_cast<float>((rng.uniform() - 0.5) * 12);
  return v;
}

std::vector<double> softmax(const std::vector<float>& logits) {
  const double top = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  std::vector<double> p;
  for (const float x : logits) p.push_back(std::exp(static_cast<double>(x) - top));
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= sum;
  return p;
}

std::map<int32_t, float> by_id(const Candidates& c) {
  std::map<int32_t, float> out;
  for (const Candidate& x : c.all) out[x.id] = x.logit;
  return out;
}

const std::vector<int32_t> kContext = {3, 5, 7, 3, 5, 9, 3, 5, 7, 3, 5};

// Applies one sampler once, with the options of its first golden case.
Candidates applied(const SamplerKind& kind, Candidates c, int times = 1) {
  const lm_test::SamplerCase& example = lm_test::first_case(kind.name);
  const SamplerSetup setup{48, 4, example.stop_ids};
  Rng rng(1);
  const auto step = kind.make(example.options, setup);
  for (int i = 0; i < times; ++i) step->apply({kContext, setup.n_prompt, &rng}, c);
  return c;
}

Candidates fresh(const std::vector<float>& logits) {
  Candidates c;
  c.reset(logits);
  return c;
}

}  // namespace

TEST_CASE("every sampler is off by default, named after its file, and documented") {
  const SamplingOptions neutral;
  for (const SamplerKind* kind : all_samplers()) {
    CAPTURE(kind->name);
    CHECK_FALSE(kind->active(neutral));
    CHECK(find_sampler(kind->name) == kind);
    CHECK(std::string(kind->rule).size() > 5);
    CHECK(std::string(kind->source).size() > 5);
    CHECK(std::string(kind->options).size() > 3);
    SamplingOptions on = lm_test::first_case(kind->name).options;
    if (on.temperature <= 0) on.temperature = 0.5;
    CHECK(kind->active(on));
  }
}

TEST_CASE("every sampler leaves something to choose, whatever the order of the candidates") {
  for (const SamplerKind* kind : all_samplers())
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      CAPTURE(kind->name);
      const auto logits = some_logits(48, seed);
      const Candidates c = applied(*kind, fresh(logits));
      REQUIRE(!c.all.empty());
      CHECK(std::isfinite(c.top()));

      std::vector<Candidate> shuffled = fresh(logits).all;
      Rng rng(seed);
      for (size_t i = shuffled.size(); i-- > 1;) std::swap(shuffled[i], shuffled[rng.next() % i]);
      Candidates other;
      other.reset(shuffled);
      CHECK(by_id(applied(*kind, other)) == by_id(c));
    }
}

TEST_CASE("samplers survive equal logits, one candidate, huge and forbidden logits") {
  std::vector<float> huge(48, -1e30f), equal(48, 2.5f), forbidden = some_logits(48, 3);
  huge[3] = 1e30f;
  for (size_t i = 20; i < 48; ++i) forbidden[i] = -std::numeric_limits<float>::infinity();
  for (const SamplerKind* kind : all_samplers())
    for (const auto& logits : {huge, equal, forbidden}) {
      CAPTURE(kind->name);
      const Candidates c = applied(*kind, fresh(logits));
      REQUIRE(!c.all.empty());
      for (const Candidate& x : c.all) CHECK_FALSE(std::isnan(x.logit));
      Candidates one;
      one.reset(std::vector<Candidate>{{1, 4.0f}});
      if (kind->role != SamplerRole::mask) CHECK(applied(*kind, one).all.size() == 1);
    }
}

TEST_CASE("masks and fixed thresholds change nothing the second time") {
  for (const char* name : {"allowed_token_ids", "suppress_tokens", "bad_words", "no_repeat_ngram",
                           "min_tokens", "forced_tokens", "top_k", "min_p"}) {
    CAPTURE(name);
    const SamplerKind& kind = *find_sampler(name);
    const auto logits = some_logits(48, 7);
    CHECK(by_id(applied(kind, fresh(logits), 2)) == by_id(applied(kind, fresh(logits))));
  }
}

TEST_CASE("no token left is an error that says so, in greedy decoding too") {
  for (const double temperature : {0.0, 1.0}) {
    SamplingOptions o;
    o.temperature = temperature;
    o.allowed_token_ids = {1};
    o.suppress_tokens = {1};
    Sampler s(o);
    CHECK_THROWS_WITH_AS(s.sample(std::vector<float>{1, 2, 3}, {}),
                         doctest::Contains("no token is left"), Error);
  }
  SamplingOptions o;
  o.temperature = 1;
  CHECK_THROWS_WITH_AS(Sampler(o).sample(std::vector<float>{1, NAN}, {}),
                       doctest::Contains("token 1 is not a number"), Error);
}

TEST_CASE("the chain follows its preset or list, and says what a list leaves out") {
  SamplingOptions o;
  o.temperature = 0.7;
  o.top_k = 3;
  o.top_p = 0.5;
  o.suppress_tokens = {1};
  const auto names = [](const SamplingOptions& options) {
    std::string out;
    for (const SamplerKind* kind : sampler_chain(options)) out += std::string(kind->name) + " ";
    return out;
  };
  CHECK(names(o) == "suppress_tokens temperature top_k top_p ");
  o.samplers = {"llama.cpp"};
  CHECK(names(o) == "suppress_tokens top_k top_p temperature ");
  o.min_p = 0.1;
  o.samplers = {"vllm"};
  CHECK(names(o) == "suppress_tokens temperature min_p top_k top_p ");
  o.samplers = {"top_p", "top_k", "temperature", "min_p"};
  CHECK(names(o) == "suppress_tokens top_p top_k temperature min_p ");
  o.samplers = {"top_p", "top_k", "temperature"};
  CHECK_THROWS_WITH_AS(names(o), doctest::Contains("samplers leaves out \"min_p\""), Error);
  o.samplers = {"top_q"};
  CHECK_THROWS_WITH_AS(names(o), doctest::Contains("samplers names \"top_q\""), Error);
  o.samplers = {};
  o.mirostat = 2;
  CHECK(names(o) == "suppress_tokens temperature mirostat_2 ");
  o.samplers = {"mirostat_2", "top_k", "top_p", "min_p", "temperature"};
  CHECK_THROWS_WITH_AS(names(o), doctest::Contains("must be the last"), Error);
  o = {};
  o.top_k = 3;
  CHECK(names(o) == "");  // greedy
  for (const auto preset : sampler_presets())
    CHECK(sampler_preset(preset).size() == all_samplers().size());
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

TEST_CASE("a request's draws and state do not depend on other requests") {
  for (const char* name : {"xtc", "mirostat_1", "mirostat_2", "adaptive_p", "temperature"}) {
    CAPTURE(name);
    SamplingOptions o = lm_test::first_case(name).options;
    o.temperature = 1.1;
    o.seed = 5;
    const auto run = [&](bool neighbours) {
      Sampler s(o, {60, 0, {}});
      SamplingOptions other = o;
      other.seed = 6;
      Sampler t(other, {60, 0, {}});
      std::vector<int32_t> context;
      for (uint64_t i = 0; i < 40; ++i) {
        if (neighbours) t.sample(some_logits(60, 1000 + i), context);
        context.push_back(s.sample(some_logits(60, i), context));
      }
      return context;
    };
    CHECK(run(false) == run(true));
  }
}

TEST_CASE("XTC acts with its probability") {
  SamplingOptions o;
  o.temperature = 1;
  o.seed = 9;
  o.xtc_probability = 0.3;
  Sampler s(o);
  int acted = 0;
  for (int i = 0; i < 4000; ++i)
    acted += s.candidates(std::vector<float>{2, 1.9f, 0}, {}).all.size() < 3;
  CHECK(acted == doctest::Approx(1200).epsilon(0.1));
}

TEST_CASE("sampling options out of range are named") {
  SamplingOptions o;
  o.top_p = 1.5;
  CHECK_THROWS_WITH_AS(Sampler{o}, doctest::Contains("top_p is 1.5"), Error);
  o = {};
  o.temperature = -1;
  CHECK_THROWS_WITH_AS(Sampler{o}, doctest::Contains("temperature is -1"), Error);
  o = {};
  o.mirostat = 3;
  CHECK_THROWS_WITH_AS(Sampler{o}, doctest::Contains("mirostat is 3"), Error);
  o = {};
  o.seed = -1;
  CHECK(Sampler(o).seed() != Sampler(o).seed());
}
