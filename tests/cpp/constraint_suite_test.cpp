// Constraints and the validator on the published suites for JSON Schema.
#include <doctest/doctest.h>

#include <random>

#include "constraint_data.h"
#include "engine/api/constraint.h"
#include "engine/api/json_validate.h"
#include "engine/core/error.h"
#include "engine/infer/constrain/front_ends.h"
#include "engine/infer/constrain/masks.h"
#include "engine/text/tokenizer.h"
#include "test_data.h"

namespace {

using Row = nlohmann::ordered_json;

std::shared_ptr<const lm::Constraint> compile(const std::string& schema) {
  lm::ConstraintOptions options;
  options.text = schema;
  try {
    return lm::Constraint::compile(options);
  } catch (const lm::Error&) {
    return nullptr;
  }
}

struct Counts {
  int schemas = 0, passing = 0, refused = 0, wrongly_accepted = 0, wrongly_rejected = 0;
};

}  // namespace

// llguidance passed 79 % of the 11,306 schemas and accepted nothing wrongly in the run that the
// suite publishes; our subset is 7,181 of them.
TEST_CASE("constraint: MaskBench") {
  const auto folder = lm_test::test_data("datasets/jsonschemabench");
  if (!folder) return;
  Counts n;
  for (const auto& file : std::filesystem::directory_iterator(*folder))
    lm_test::each_row(file.path().string(), [&](const Row& row) {
      ++n.schemas;
      const auto constraint = compile(row["schema"].dump());
      n.refused += constraint == nullptr;
      if (!constraint) return;
      bool accepted = false, rejected = false;
      for (const Row& test : row["tests"]) {
        const bool valid = test["valid"].get<bool>();
        if (constraint->accepts(lm_test::dumps(test["data"])) == valid) continue;
        (valid ? rejected : accepted) = true;
      }
      n.wrongly_accepted += accepted;
      n.wrongly_rejected += rejected;
      n.passing += !accepted && !rejected;
    });
  std::printf(
      "table: MaskBench: %d of %d schemas pass, %d refused, %d wrongly accepted, %d rejected\n",
      n.passing, n.schemas, n.refused, n.wrongly_accepted, n.wrongly_rejected);
  CHECK(n.passing >= n.schemas * 95 / 100);
  CHECK(n.wrongly_accepted <= n.schemas / 1000);
}

TEST_CASE("validate: JSON-Schema-Test-Suite") {
  const auto folder = lm_test::test_data("datasets/json_schema_test_suite");
  if (!folder) return;
  std::map<std::string, std::string> remotes;
  lm_test::each_row(*folder + "/remotes.json.gz", [&](const Row& all) {
    for (const auto& [path, schema] : all.items())
      remotes["http://localhost:1234/" + path] = schema.dump();
  });
  const std::pair<const char*, const char*> drafts[] = {
      {"draft4", "http://json-schema.org/draft-04/schema#"},
      {"draft6", "http://json-schema.org/draft-06/schema#"},
      {"draft7", "http://json-schema.org/draft-07/schema#"},
      {"draft2019-09", "https://json-schema.org/draft/2019-09/schema"},
      {"draft2020-12", "https://json-schema.org/draft/2020-12/schema"}};
  for (const auto& [draft, uri] : drafts) {
    int tests = 0, right = 0, constrained = 0, wrongly_accepted = 0, wrongly_rejected = 0;
    lm_test::each_row(*folder + "/" + draft + ".jsonl.gz", [&](const Row& row) {
      if (row["optional"].get<bool>()) return;
      Row schema = row["schema"];
      if (schema.is_object() && !schema.contains("$schema")) schema["$schema"] = uri;
      const auto constraint = compile(schema.dump());
      for (const Row& test : row["tests"]) {
        const bool valid = test["valid"].get<bool>();
        ++tests;
        right += lm::validate_json(test["data"].dump(), schema.dump(), {false, remotes}).empty() ==
                 valid;
        if (!constraint) continue;
        ++constrained;
        const bool accepted = constraint->accepts(test["data"].dump());
        wrongly_accepted += accepted && !valid;
        wrongly_rejected += !accepted && valid;
      }
    });
    std::printf(
        "table: %s: validator %d of %d right; constraint: %d tests, %d wrongly accepted, %d "
        "rejected\n",
        draft, right, tests, constrained, wrongly_accepted, wrongly_rejected);
    CHECK(right == tests);
    CHECK(wrongly_accepted == 0);
    CHECK(wrongly_rejected * 100 <= constrained * 4);
  }
}

// Along the instances of MaskBench and along random walks: masks from kept parts equal those of a
// walk over the whole vocabulary, and what a walk ends with is valid.
TEST_CASE("constraint: masks on a 128k vocabulary") {
  const auto folder = lm_test::test_data("datasets/jsonschemabench");
  const auto path = lm_test::test_data("tokenizers/llama3");
  if (!folder || !path) return;
  const auto tokenizer = lm::open_tokenizer(*path);
  const auto trie = lm::VocabTrie::of(tokenizer);
  std::mt19937 random(11);
  int row_number = 0, finished = 0;
  for (const auto& file : std::filesystem::directory_iterator(*folder))
    lm_test::each_row(file.path().string(), [&](const Row& row) {
      if (++row_number % 97 != 0) return;
      const std::string schema = row["schema"].dump();
      CAPTURE(row["name"].get<std::string>());
      auto grammar = std::make_unique<lm::Grammar>();
      std::vector<std::string> notes;
      std::unique_ptr<lm::Machine> machine;
      try {
        const lm::RuleId start = lm::read_json_schema(*grammar, schema, {}, notes);
        grammar->finish(start);
        machine = std::make_unique<lm::Machine>(std::move(grammar), start);
      } catch (const lm::Error&) {
        return;
      }
      lm::Masks masks(*machine, trie);
      std::vector<uint64_t> kept(trie->words()), walked(trie->words());
      lm::SetId state = machine->start();
      std::string text;
      for (int step = 0; step < 60 && state != lm::kEnd; ++step) {
        std::fill(kept.begin(), kept.end(), 0);
        std::fill(walked.begin(), walked.end(), 0);
        machine->grammar().start_work();
        masks.mask(state, kept);
        machine->grammar().start_work();
        masks.mask_by_walk(state, walked);
        CHECK_MESSAGE(kept == walked, text);
        std::vector<int32_t> allowed;
        for (size_t w = 0; w < kept.size(); ++w)
          for (uint64_t rest = kept[w]; rest != 0; rest &= rest - 1)
            allowed.push_back(static_cast<int32_t>(w * 64) + __builtin_ctzll(rest));
        REQUIRE(!allowed.empty());
        // Short tokens come to an end sooner.
        int32_t id = allowed[random() % allowed.size()];
        for (int i = 0; i < 3; ++i) {
          const int32_t other = allowed[random() % allowed.size()];
          if (trie->bytes(other).size() < trie->bytes(id).size()) id = other;
        }
        for (const char c : trie->bytes(id)) state = machine->step(state, static_cast<uint8_t>(c));
        text += trie->bytes(id);
      }
      if (state != lm::kEnd) return;
      ++finished;
      CHECK_MESSAGE(lm::validate_json(text, schema).empty(), text);
    });
  CHECK(finished > 3);
}
