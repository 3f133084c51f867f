// Every sampler against transformers, llama.cpp or its definition in float64. Logits are float32;
// tolerance 2e-5 + 2e-6 relative (the goldens have five decimals), the kept sets must be equal.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "engine/infer/sampler/sampler.h"
#include "sampler_cases.h"

using namespace lm;
using nlohmann::json;

namespace lm_test {
namespace {

void read_numbers(const json& j, SamplingOptions& o) {
#define LM_OPTION_NUMBER(name, initial, least, most, doc) o.name = j.value(#name, o.name);
#define LM_OPTION_INTEGER(name, initial, least, most, doc) o.name = j.value(#name, o.name);
#define LM_OPTION_BOOLEAN(name, initial, doc) o.name = j.value(#name, o.name);
#include "engine/api/sampling_options.inc"
#undef LM_OPTION_NUMBER
#undef LM_OPTION_INTEGER
#undef LM_OPTION_BOOLEAN
}

SamplingOptions read_options(const json& j) {
  SamplingOptions o;
  read_numbers(j, o);
  o.allowed_token_ids = j.value("allowed_token_ids", o.allowed_token_ids);
  o.suppress_tokens = j.value("suppress_tokens", o.suppress_tokens);
  o.forced_token_ids = j.value("forced_token_ids", o.forced_token_ids);
  o.bad_words = j.value("bad_words", o.bad_words);
  o.dry_breaker_ids = j.value("dry_breaker_ids", o.dry_breaker_ids);
  o.logit_bias = j.value("logit_bias", o.logit_bias);
  return o;
}

SamplerCase::Step read_step(const json& j) {
  SamplerCase::Step step{j.at("context"), j.at("n_prompt"), j.at("logits"), {}, {}};
  for (const json& x : j.at("expected"))
    step.expected.push_back(x.is_null() ? std::nullopt : std::optional(x.get<float>()));
  if (j.contains("chosen")) step.chosen = j["chosen"].get<int32_t>();
  return step;
}

std::vector<SamplerCase> read_cases() {
  std::ifstream file(std::string(LM_SOURCE_DIR) + "/tests/data/samplers/goldens.json");
  const json whole = json::parse(file);
  std::vector<SamplerCase> cases;
  for (const json& j : whole.at("cases")) {
    SamplerCase c{j.at("sampler"),
                  j.at("source"),
                  read_options(j.at("options")),
                  j.value("stop_ids", std::vector<int32_t>()),
                  {}};
    for (const json& step : j.at("steps")) c.steps.push_back(read_step(step));
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace

const std::vector<SamplerCase>& sampler_cases() {
  static const std::vector<SamplerCase> cases = read_cases();
  return cases;
}

const SamplerCase& first_case(std::string_view sampler) {
  for (const SamplerCase& c : sampler_cases())
    if (c.sampler == sampler) return c;
  throw std::runtime_error("no golden case for the sampler " + std::string(sampler));
}

}  // namespace lm_test

namespace {

std::vector<std::optional<float>> shown(const Candidates& c, size_t n) {
  std::vector<std::optional<float>> out(n);
  for (const Candidate& x : c.all)
    if (std::isfinite(x.logit)) out[static_cast<size_t>(x.id)] = x.logit;
  return out;
}

void compare(const std::vector<std::optional<float>>& got, const lm_test::SamplerCase::Step& step) {
  REQUIRE(got.size() == step.expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    REQUIRE(got[i].has_value() == step.expected[i].has_value());
    if (!got[i]) continue;
    const auto expected = static_cast<double>(*step.expected[i]);
    CHECK(std::fabs(static_cast<double>(*got[i]) - expected) <= 2e-5 + 2e-6 * std::fabs(expected));
  }
}

double probability(Candidates c, int32_t id) {
  for (const Candidate& x : c.all)
    if (x.id == id) return std::exp(static_cast<double>(x.logit) - c.log_sum_exp());
  return 0;
}

// Runs the steps of one case; returns whether it changed anything.
bool check_case(const lm_test::SamplerCase& golden) {
  const SamplerKind* kind = find_sampler(golden.sampler);
  REQUIRE(kind != nullptr);
  const SamplerSetup setup{static_cast<int64_t>(golden.steps[0].logits.size()),
                           golden.steps[0].n_prompt, golden.stop_ids};
  const auto sampler = kind->make(golden.options, setup);
  Rng rng(1);
  bool changed = false;
  for (const auto& step : golden.steps) {
    Candidates c;
    c.reset(step.logits);
    sampler->apply({step.context, step.n_prompt, &rng}, c);
    compare(shown(c, step.logits.size()), step);
    Candidates before;
    before.reset(step.logits);
    changed = changed || shown(c, step.logits.size()) != shown(before, step.logits.size());
    if (step.chosen) sampler->accept(*step.chosen, probability(c, *step.chosen));
  }
  return changed;
}

}  // namespace

TEST_CASE("every sampler gives what transformers, llama.cpp or its definition give") {
  std::set<std::string> effective;
  for (const auto& golden : lm_test::sampler_cases()) {
    CAPTURE(golden.sampler);
    CAPTURE(golden.source);
    if (check_case(golden)) effective.insert(golden.sampler);
  }
  for (const SamplerKind* kind : all_samplers()) {
    CAPTURE(kind->name);
    CHECK(effective.contains(kind->name));  // at least one case in which it does something
  }
  std::printf("samplers: %zu, golden cases: %zu\n", all_samplers().size(),
              lm_test::sampler_cases().size());
}
