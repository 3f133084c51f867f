// Each normalizer, pre-tokenizer and decoder of tokenizer.json against Hugging Face's tokenizers
// (tests/data/tokenizer_steps, which holds the generator too).
#include <cstdio>

#include "engine/core/mapped_file.h"
#include "tokenizer_vectors.h"

using lm_test::Ids;
using nlohmann::json;

namespace {

const json& data() {
  static const json steps = json::parse(
      lm::read_file(std::string(LM_SOURCE_DIR) + "/tests/data/tokenizer_steps/steps.json"));
  return steps;
}

}  // namespace

TEST_CASE("tokenizer.json steps: words and characters equal Hugging Face's") {
  lm_test::Score steps, cases;
  for (const json& row : data()["steps"]) {
    const auto tokenizer = lm::load_tokenizer_json(row["tokenizer"].dump(), "steps.json");
    bool all = true;
    for (const json& c : row["cases"]) {
      const Ids got = tokenizer->encode(c["text"].get<std::string>());
      const bool ok = got == c["ids"].get<Ids>();
      std::string shown;
      for (const int32_t id : got) shown.append(tokenizer->token_text(id)).append(" ");
      std::string wanted;
      for (const int32_t id : c["ids"]) wanted.append(tokenizer->token_text(id)).append(" ");
      CHECK_MESSAGE(ok, row["name"].get<std::string>()
                            << "\n  text " << c["text"].dump(-1, ' ', true) << "\n  got  "
                            << json(shown).dump(-1, ' ', true) << "\n  want "
                            << json(wanted).dump(-1, ' ', true));
      cases.add(ok);
      all = all && ok;
    }
    steps.add(all);
  }
  std::printf("table: %-30s steps %d/%d, cases %d/%d\n", "normalizers, pre-tokenizers",
              steps.passed, steps.total, cases.passed, cases.total);
}

TEST_CASE("tokenizer.json decoders: text equals Hugging Face's, whole and streamed") {
  lm_test::Score cases;
  for (const json& row : data()["decoders"]) {
    const auto tokenizer = lm::load_tokenizer_json(row["tokenizer"].dump(), "steps.json");
    for (const json& c : row["cases"]) {
      const Ids ids = c["ids"];
      const std::string got = tokenizer->decode(ids, false);
      CHECK_MESSAGE(got == c["text"].get<std::string>(), row["name"].get<std::string>()
                                                             << " " << c.dump() << " got " << got);
      CHECK(lm_test::streamed(tokenizer, ids, false) == got);
      cases.add(got == c["text"].get<std::string>());
    }
  }
  std::printf("table: %-30s cases %d/%d\n", "decoders", cases.passed, cases.total);
}
