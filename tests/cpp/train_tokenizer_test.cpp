// Training of tokenizers: BPE against Hugging Face's trainer (tests/data/bpe_training, which holds
// the generator too); WordPiece and Unigram by what defines them.
#include "engine/text/train/train_tokenizer.h"

#include <filesystem>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/text/train/bpe_trainer.h"
#include "engine/text/train/unigram_trainer.h"
#include "test_data.h"
#include "tokenizer_vectors.h"

using nlohmann::json;

namespace {

const std::string kFolder = std::string(LM_SOURCE_DIR) + "/tests/data/bpe_training";

lm::TokenizerTraining options_of(const json& o) {
  lm::TokenizerTraining t;
  t.vocab_size = o.value("vocab_size", t.vocab_size);
  t.min_frequency = o.value("min_frequency", t.min_frequency);
  t.special_tokens = o.value("special_tokens", t.special_tokens);
  t.initial_alphabet = o.value("initial_alphabet", t.initial_alphabet);
  t.limit_alphabet = o.value("limit_alphabet", t.limit_alphabet);
  t.max_token_length = o.value("max_token_length", t.max_token_length);
  t.pre_tokenizer = o.value("pre_tokenizer", t.pre_tokenizer);
  t.unk_token = o.value("unk_token", t.unk_token);
  return t;
}

}  // namespace

TEST_CASE("BPE training: tokens and merges equal Hugging Face's") {
  const auto shared = lm_test::test_data("tokenizers/bpe-training/corpus.en");
  lm_test::Score score;
  const json expected = json::parse(lm::read_file(kFolder + "/expected.json"));
  for (const json& c : expected["cases"]) {
    const bool mixed = c["corpus"] == "mixed";
    if (!mixed && !shared) continue;
    const std::string text =
        lm::train_tokenizer({mixed ? kFolder + "/mixed.txt" : *shared}, options_of(c["options"]));
    const json got = json::parse(text);
    bool ok = got["model"]["vocab"].size() == c["tokens"].size() &&
              got["model"]["merges"].size() == c["merges"].size();
    for (size_t i = 0; ok && i < c["tokens"].size(); ++i)
      ok = got["model"]["vocab"].value(c["tokens"][i].get<std::string>(), size_t{0}) == i;
    for (size_t i = 0; ok && i < c["merges"].size(); ++i) {
      const json& merge = got["model"]["merges"][i];
      ok = merge[0].get<std::string>() + " " + merge[1].get<std::string>() == c["merges"][i];
    }
    CHECK_MESSAGE(ok, c["corpus"] << " " << c["options"].dump());
    score.add(ok);
    lm::load_tokenizer_json(text, "trained");
  }
  std::printf("table: %-30s cases %d/%d\n", "BPE training", score.passed, score.total);
}

TEST_CASE("WordPiece training: pieces cover the words, and every piece is in some word") {
  lm::TokenizerTraining o;
  o.kind = "wordpiece";
  o.vocab_size = 150;
  o.special_tokens = {"[PAD]", "[UNK]", "[CLS]"};
  const auto t = lm::load_tokenizer_json(lm::train_tokenizer({kFolder + "/mixed.txt"}, o), "wp");
  CHECK(t->size() == 150);
  CHECK(t->token_text(0) == "[PAD]");
  CHECK(t->unk() == 1);
  CHECK(t->decode(t->encode("The LOWEST fox")) == "the lowest fox");
  CHECK(t->encode("the").size() == 1);
  CHECK(t->encode("§").size() == 1);
  CHECK(t->encode("§")[0] == t->unk());
}

TEST_CASE(
    "Unigram training: as many pieces as asked for, all characters, probabilities that add up") {
  lm::TokenizerTraining o;
  o.kind = "unigram";
  o.vocab_size = 120;
  const std::string text = lm::train_tokenizer({kFolder + "/mixed.txt"}, o);
  CHECK(text == lm::train_tokenizer({kFolder + "/mixed.txt"}, o));
  const auto t = lm::load_tokenizer_json(text, "unigram");
  CHECK(t->size() == 120);
  const std::string line = "the quick brown fox jumps over the lazy dog";
  const auto ids = t->encode(line);
  CHECK(t->decode(ids) == line);
  CHECK(ids.size() < 20);  // 43 characters
  for (const std::string c : {"F", "ü", "中", "語", "😀"}) CHECK(t->id_of(c) > 0);

  // Two words of equal counts: the maximum of the likelihood is the words themselves.
  const auto pieces = lm::train_unigram({{"abc", 100}, {"xyz", 100}}, {.vocab_size = 8});
  REQUIRE(pieces.size() == 8);
  CHECK(pieces[0].first.size() == 3);
  CHECK(pieces[1].first.size() == 3);
  double sum = 0;
  for (const auto& [piece, score] : pieces) sum += std::exp(score);
  CHECK(sum == doctest::Approx(1).epsilon(0.05));  // digamma leaves a little out
}

TEST_CASE("training: contradictions and missing files are named") {
  const auto fails = [](const lm::TokenizerTraining& o, const std::string& file, const char* what) {
    CHECK_THROWS_WITH_AS(lm::train_tokenizer({file}, o), doctest::Contains(what), lm::Error);
  };
  const std::string mixed = kFolder + "/mixed.txt";
  fails({.kind = "words"}, mixed, "kind \"words\"");
  fails({.pre_tokenizer = "nope"}, mixed, "pre_tokenizer \"nope\"");
  fails({.kind = "unigram", .pre_tokenizer = "gpt2"}, mixed, "byte-level");
  fails({.vocab_size = size_t{1} << 40}, mixed, "at most");
  fails({.kind = "unigram", .vocab_size = 1}, mixed, "special tokens");
  fails({}, "/no/such/file", "/no/such/file");
  const auto empty = std::filesystem::temp_directory_path() / "lmfast_test_empty.txt";
  std::ofstream(empty).close();
  fails({}, empty.string(), "no words");
  std::filesystem::remove(empty);
}
