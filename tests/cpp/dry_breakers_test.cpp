// DRY with sequence breakers as texts, against llama.cpp on the stories260K vocabulary
// (tests/data/samplers/generate_dry_breakers.py). Logits within 1e-4.
#include "engine/infer/sampler/dry_breakers.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/api/model.h"
#include "engine/infer/sampler/sampler.h"
#include "engine/text/tokenizer.h"
#include "test_data.h"

using namespace lm;
using nlohmann::json;

TEST_CASE("DRY breaks sequences at the tokens of llama.cpp") {
  const auto path = lm_test::test_data("models/stories260K/gguf/stories260K-F32.gguf");
  if (!path) return;
  const auto model = Model::load(*path);
  std::ifstream file(std::string(LM_SOURCE_DIR) + "/tests/data/samplers/dry_breakers.json");
  const json whole = json::parse(file);
  for (const json& c : whole.at("cases")) {
    CAPTURE(c.dump());
    SamplingOptions o;
    o.dry_multiplier = 1;
    o.dry_base = 1.5;
    o.dry_sequence_breakers = c.at("breakers").get<std::vector<std::string>>();
    Sampler sampler(with_dry_breakers(o, *model->tokenizer()));
    const std::vector<float> zeros(512, 0.0f);
    const Candidates& after =
        sampler.candidates(zeros, c.at("context").get<std::vector<int32_t>>());
    std::vector<float> expected(512, 0.0f);
    for (const json& p : c.at("penalties")) expected[p[0].get<size_t>()] = -p[1].get<float>();
    for (const Candidate& x : after.all)
      CHECK(std::fabs(x.logit - expected[static_cast<size_t>(x.id)]) <= 1e-4);
  }
}
