// Beam search, contrastive search and guidance against transformers in float32 on the stories260K
// model (tests/data/search/generate.py and generate_old.py). Scores within 1e-4.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/api/beam_search.h"
#include "engine/api/contrastive_search.h"
#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "test_data.h"

using namespace lm;
using nlohmann::json;

namespace {

json goldens(const char* name = "goldens.json") {
  std::ifstream file(std::string(LM_SOURCE_DIR) + "/tests/data/search/" + name);
  return json::parse(file);
}

std::shared_ptr<const Model> stories() {
  static const auto path = lm_test::test_data("models/stories260K/hf");
  LoadOptions options;
  options.precision = "exact";
  return path ? Model::load(*path, options) : nullptr;
}

BeamOptions beam_options(const json& c) {
  const json& given = c.at("options");
  BeamOptions o;
  o.ignore_eos = true;
  o.stop_token_ids = c.at("stop_token_ids").get<std::vector<int32_t>>();
  o.max_tokens = c.at("max_tokens");
  o.num_beams = given.at("num_beams");
  o.num_return_sequences = given.at("num_return_sequences");
  o.length_penalty = given.value("length_penalty", 1.0);
  o.num_beam_groups = given.value("num_beam_groups", 1);
  o.diversity_penalty = given.value("diversity_penalty", 0.0);
  if (given.contains("early_stopping"))
    o.early_stopping = given["early_stopping"].is_string()   ? "never"
                       : given["early_stopping"].get<bool>() ? "true"
                                                             : "false";
  o.sampling.repetition_penalty = given.value("repetition_penalty", 1.0);
  o.sampling.penalty_window = -1;
  o.sampling.no_repeat_ngram_size = given.value("no_repeat_ngram_size", 0);
  o.sampling.min_tokens = given.value("min_new_tokens", 0);
  return o;
}

std::vector<int32_t> greedy(const std::shared_ptr<const Model>& model, const json& c,
                            GuidanceOptions guidance) {
  GenerateOptions o;
  o.ignore_eos = true;
  o.stop_token_ids = {0};
  o.max_tokens = c.at("max_tokens");
  o.guidance = std::move(guidance);
  Generation g(std::make_shared<Context>(model), c.at("prompt_ids").get<std::vector<int32_t>>(), o);
  std::string piece;
  while (g.next(&piece)) {
  }
  return g.tokens();
}

}  // namespace

namespace {

void check_beams(const std::shared_ptr<const Model>& model, const json& cases) {
  for (const json& c : cases) {
    CAPTURE(c.at("options").dump());
    CAPTURE(c.at("prompt_ids").dump());
    const auto found =
        beam_search(model, c.at("prompt_ids").get<std::vector<int32_t>>(), beam_options(c));
    REQUIRE(found.size() == c.at("sequences").size());
    for (size_t i = 0; i < found.size(); ++i) {
      const json& expected = c.at("sequences")[i];
      CHECK(found[i].ids == expected.at("ids").get<std::vector<int32_t>>());
      CHECK(found[i].stopped == expected.at("stopped").get<bool>());
      CHECK(std::fabs(found[i].score - expected.at("score").get<double>()) <= 1e-4);
    }
  }
}

}  // namespace

TEST_CASE("beam search finds the sequences and scores that transformers finds, in groups too") {
  const auto model = stories();
  if (!model) return;
  check_beams(model, goldens().at("beams"));
  check_beams(model, goldens("goldens_4_46.json").at("beams"));
}

TEST_CASE("contrastive search writes what transformers writes") {
  const auto model = stories();
  if (!model) return;
  const json all = goldens("goldens_4_46.json");
  for (const json& c : all.at("contrastive_search")) {
    CAPTURE(c.at("options").dump());
    ContrastiveOptions o;
    o.penalty_alpha = c.at("options").at("penalty_alpha");
    o.top_k = c.at("options").at("top_k");
    o.sampling.repetition_penalty = c.at("options").value("repetition_penalty", 1.0);
    o.sampling.penalty_window = -1;
    o.max_tokens = c.at("max_tokens");
    o.ignore_eos = true;
    o.stop_token_ids = c.at("stop_token_ids").get<std::vector<int32_t>>();
    const auto found = contrastive_search(model, c.at("prompt_ids"), o);
    CHECK(found.ids == c.at("ids").get<std::vector<int32_t>>());
    CHECK(found.stopped == c.at("stopped").get<bool>());
  }
}

TEST_CASE("classifier-free guidance writes what transformers writes") {
  const auto model = stories();
  if (!model) return;
  const json all = goldens();
  for (const json& c : all.at("guidance")) {
    GuidanceOptions guidance;
    guidance.context = std::make_shared<Context>(model);
    guidance.scale = c.at("scale");
    // Without a negative prompt transformers starts from the last token of the prompt.
    guidance.prompt = c.at("negative_ids").is_null()
                          ? std::vector<int32_t>{c.at("prompt_ids").back().get<int32_t>()}
                          : c.at("negative_ids").get<std::vector<int32_t>>();
    CAPTURE(guidance.scale);
    CHECK(greedy(model, c, guidance) == c.at("ids").get<std::vector<int32_t>>());
  }
}

TEST_CASE("contrastive decoding follows its formula over transformers' logits") {
  const auto model = stories();
  if (!model) return;
  const json all = goldens();
  for (const json& c : all.at("contrastive")) {
    GuidanceOptions guidance;
    guidance.kind = GuidanceOptions::Kind::contrastive;
    guidance.context = std::make_shared<Context>(model);
    guidance.alpha = c.at("alpha");
    guidance.prompt = c.at("amateur_ids").get<std::vector<int32_t>>();
    CHECK(greedy(model, c, guidance) == c.at("ids").get<std::vector<int32_t>>());
  }
}

TEST_CASE("beam search refuses what it cannot do and survives a full context") {
  const auto model = stories();
  if (!model) return;
  BeamOptions o;
  o.num_beams = 0;
  CHECK_THROWS_WITH_AS(beam_search(model, {1}, o), doctest::Contains("num_beams is 0"), Error);
  o = {};
  o.num_return_sequences = 5;
  CHECK_THROWS_WITH_AS(beam_search(model, {1}, o), doctest::Contains("1..num_beams (4)"), Error);
  o = {};
  o.early_stopping = "maybe";
  CHECK_THROWS_WITH_AS(beam_search(model, {1}, o), doctest::Contains("\"maybe\""), Error);
  o = {};
  o.sampling.temperature = 1;
  CHECK_THROWS_WITH_AS(beam_search(model, {1}, o), doctest::Contains("draws nothing"), Error);
  o = {};
  o.num_beam_groups = 3;
  CHECK_THROWS_WITH_AS(beam_search(model, {1}, o), doctest::Contains("divisor of num_beams"),
                       Error);
  o = {};
  CHECK_THROWS_AS(beam_search(model, {}, o), Error);
  o.ignore_eos = true;
  const auto found = beam_search(model, {1, 403}, o, 8);
  REQUIRE(found.size() == 1);
  CHECK(found[0].ids.size() == 7);
}

// Searches go back to an earlier token, which recurrent models cannot do by cutting their memory.
TEST_CASE("searches of recurrent and hybrid models agree with their plain generation") {
  for (const char* name : {"llama", "mamba", "mamba2", "falcon-h1"}) {
    CAPTURE(name);
    LoadOptions load;
    load.precision = "exact";
    const auto model = Model::load(std::string(LM_SOURCE_DIR) + "/tests/data/models/" + name, load);
    const std::vector<int32_t> prompt = {5, 9, 3};
    GenerateOptions plain;
    plain.ignore_eos = true;
    plain.max_tokens = 8;
    Generation g(std::make_shared<Context>(model), prompt, plain);
    std::string piece;
    while (g.next(&piece)) {
    }
    ContrastiveOptions o;
    o.penalty_alpha = 0;  // then the most likely token wins, after all have been tried
    o.max_tokens = 8;
    o.ignore_eos = true;
    CHECK(contrastive_search(model, prompt, o).ids == g.tokens());
    BeamOptions beam;
    beam.ignore_eos = true;
    beam.max_tokens = 8;
    beam.length_penalty = 0;
    const auto found = beam_search(model, prompt, beam);
    REQUIRE(found.size() == 1);
    // The score is the sum of the log-probabilities that scoring finds.
    std::vector<int32_t> ids = prompt;
    ids.insert(ids.end(), found[0].ids.begin(), found[0].ids.end());
    Context context(model);
    double sum = 0;
    for (const auto& step : score_tokens(context, ids, prompt.size(), 0))
      sum += step.chosen.logprob;
    CHECK(found[0].score == doctest::Approx(sum).epsilon(1e-5));
  }
}
