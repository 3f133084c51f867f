// Tokenizers on their way between tokenizer.json and the keys of GGUF files keep the reference's
// ids.
#include <doctest/doctest.h>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/export/hf_folder.h"
#include "engine/export/hf_model.h"
#include "test_data.h"
#include "tokenizer_vectors.h"

using namespace lm;

namespace {

// Of the folder's tokenizer.json, without the copy of it that a converted model has.
std::shared_ptr<const GgufFile> gguf_keys(const std::string& folder) {
  GgufMetadata keys;
  keys.set_string("general.architecture", "none");
  set_tokenizer(folder, load_tokenizer_folder(folder)->size(), &keys);
  keys.erase("tokenizer.huggingface.json");
  return metadata_file(keys);
}

// Without and with special tokens.
void check_ids(const Tokenizer& tokenizer, const std::string& name, const std::string& path) {
  lm_test::Score score;
  for (const nlohmann::json& line : lm_test::read_lines(path)) {
    const std::string text = line["text"];
    const lm_test::Ids ids = line["ids"], special = line["ids_special"];
    const bool equal =
        tokenizer.encode(text, {.add_special = false, .parse_special = true}) == ids &&
        tokenizer.encode(text, {.add_special = true, .parse_special = true}) == special;
    CHECK_MESSAGE(equal, name << ": " << text);
    score.add(equal);
  }
  std::printf("  %-30s ids %d/%d\n", name.c_str(), score.passed, score.total);
}

}  // namespace

TEST_CASE(
    "tokenizer.json to GGUF and back: the reference's ids, alone, with special tokens, in pairs") {
  const auto root = lm_test::test_data("tokenizers");
  if (!root) return;
  // Falcon's and GPT-NeoX's have steps that GGUF has no name for; refused or, for the composition
  // of characters (NFC) in GPT-NeoX, left out as llama.cpp does.
  for (const std::string name : {"all-minilm-l6-v2", "gpt2", "llama2", "llama3", "mistral",
                                 "phi-3-mini", "qwen2.5", "roberta-base", "smollm", "t5-small"}) {
    CAPTURE(name);
    const std::string folder = *root + "/" + name;
    const lm_test::TemporaryFolder tmp;
    try {
      const auto file = gguf_keys(folder);
      check_ids(*load_tokenizer(*file), name + " as GGUF", folder + "/vectors.jsonl");
      write_tokenizer_files(*file, tmp.path.string());
      const auto back = load_tokenizer_folder(tmp.path.string());
      lm_test::check_vectors(back, name + " and back", folder + "/vectors.jsonl");
      lm_test::check_pairs(*back, name + " and back", folder + "/pairs.json");
    } catch (const Error& e) {
      FAIL_CHECK(e.message());
    }
  }
}

TEST_CASE("SentencePiece models without tokenizer.json: GGUF keys with the reference's ids") {
  const auto root = lm_test::test_data("tokenizers");
  const auto stories = lm_test::test_data("models/stories260K");
  if (!root || !stories) return;
  const auto keys_of = [](const std::string& model) {
    const lm_test::TemporaryFolder tmp;
    std::filesystem::copy(model, tmp.path);
    return gguf_keys(tmp.path.string());
  };
  const auto small = keys_of(*stories + "/hf/tokenizer.model");
  lm_test::check_vectors(load_tokenizer(*small), "tok512's tokenizer.model as GGUF",
                         *root + "/tok512/sentencepiece-vectors.jsonl", false);
  for (const std::string file : {"llama2/tokenizer.model", "t5-small/spiece.model"}) {
    const std::string folder = *root + "/" + file.substr(0, file.find('/'));
    check_ids(*load_tokenizer(*keys_of(*root + "/" + file)), file + " as GGUF",
              folder + "/vectors.jsonl");
  }
  const lm_test::TemporaryFolder words;
  std::filesystem::copy(*root + "/all-minilm-l6-v2/vocab.txt", words.path);
  CHECK_THROWS_WITH_AS(gguf_keys(words.path.string()), doctest::Contains("neither tokenizer.json"),
                       Error);
}
