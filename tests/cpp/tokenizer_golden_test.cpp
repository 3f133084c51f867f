// Tokenizers against ids computed by Hugging Face tokenizers, SentencePiece and llama.cpp (shared
// data).
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/core/mapped_file.h"
#include "engine/formats/gguf.h"
#include "engine/text/tokenizer.h"
#include "test_data.h"

using nlohmann::json;

namespace {

struct Score {
  int passed = 0, total = 0;
  void add(bool ok) {
    passed += ok ? 1 : 0;
    ++total;
  }
};

std::vector<json> read_lines(const std::string& path) {
  std::vector<json> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (!line.empty()) lines.push_back(json::parse(line));
  }
  return lines;
}

using Ids = std::vector<int32_t>;

// Encodes with and without special tokens and decodes, for every line of a vectors.jsonl.
void check_vectors(const lm::Tokenizer& tokenizer, const std::string& name,
                   const std::string& path) {
  Score ids, with_special, decoded;
  for (const json& line : read_lines(path)) {
    const std::string text = line["text"];
    CAPTURE(text);
    const Ids expected = line["ids"];
    // The reference for Phi-4-mini numbered <|endoftext|> anew; the model's own files say 199999.
    if (name == "phi-4-mini" && text.find("<|endoftext|>") != text.npos) continue;
    const Ids got = tokenizer.encode(text, {.add_special = false, .parse_special = true});
    CHECK_MESSAGE(got == expected, name << ": " << text);
    ids.add(got == expected);
    if (line.contains("ids_special")) {
      const Ids special = tokenizer.encode(text, {.add_special = true, .parse_special = true});
      CHECK_MESSAGE(special == line["ids_special"].get<Ids>(), name << " special: " << text);
      with_special.add(special == line["ids_special"].get<Ids>());
      // The vectors decode `ids_special`.
      const bool ok =
          tokenizer.decode(special, true) == line["decoded_skip_special"].get<std::string>();
      CHECK_MESSAGE(ok, name << " decoded: " << tokenizer.decode(special, true));
      decoded.add(ok);
    }
  }
  std::printf("  %-28s ids %d/%d, with special %d/%d, decoded %d/%d\n", name.c_str(), ids.passed,
              ids.total, with_special.passed, with_special.total, decoded.passed, decoded.total);
}

}  // namespace

TEST_CASE("tokenizer.json: ids and text equal Hugging Face's for every reference text") {
  for (const char* name : {"gpt2", "smollm", "llama3", "qwen2.5", "falcon", "gpt-neox-20b",
                           "roberta-base", "mistral", "llama2", "phi-3-mini"}) {
    const auto folder = lm_test::test_data(std::string("tokenizers/") + name);
    if (!folder) return;
    const auto tokenizer =
        lm::load_tokenizer_json(lm::read_file(*folder + "/tokenizer.json"), name);
    check_vectors(*tokenizer, name, *folder + "/vectors.jsonl");
  }
}

TEST_CASE("tokenizer.json: Qwen3 is Qwen2.5 with more added tokens") {
  const auto folder = lm_test::test_data("tokenizers/qwen3");
  if (!folder) return;
  json root = json::parse(lm::read_file(*folder + "/../qwen2.5/tokenizer.json"));
  root["added_tokens"] = json::array();
  const json config = json::parse(lm::read_file(*folder + "/tokenizer_config.json"));
  for (const auto& [id, token] : config["added_tokens_decoder"].items()) {
    json entry = token;
    entry["id"] = std::stoi(id);
    root["added_tokens"].push_back(entry);
  }
  check_vectors(*lm::load_tokenizer_json(root.dump(), "qwen3"), "qwen3",
                *folder + "/vectors.jsonl");
}

TEST_CASE("tokenizer.json: Phi-4-mini from its vocabulary, merges and the o200k pattern") {
  const auto folder = lm_test::test_data("tokenizers/phi-4-mini");
  if (!folder) return;
  json merges = json::array();
  std::istringstream in(lm::read_file(*folder + "/merges.txt"));
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && !line.starts_with("#version")) merges.push_back(line);
  }
  const char* pattern =
      R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  json root = {{"model",
                {{"type", "BPE"},
                 {"vocab", json::parse(lm::read_file(*folder + "/vocab.json"))},
                 {"merges", merges},
                 {"ignore_merges", false}}},
               {"pre_tokenizer",
                {{"type", "Sequence"},
                 {"pretokenizers",
                  {{{"type", "Split"},
                    {"pattern", {{"Regex", pattern}}},
                    {"behavior", "Isolated"},
                    {"invert", false}},
                   {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}}},
               {"decoder", {{"type", "ByteLevel"}}}};
  const json config = json::parse(lm::read_file(*folder + "/tokenizer_config.json"));
  for (const auto& [id, token] : config["added_tokens_decoder"].items()) {
    json entry = token;
    entry["id"] = std::stoi(id);
    root["added_tokens"].push_back(entry);
  }
  check_vectors(*lm::load_tokenizer_json(root.dump(), "phi-4-mini"), "phi-4-mini",
                *folder + "/vectors.jsonl");
}

TEST_CASE(
    "SentencePiece vectors: stories260K as tokenizer.json, GGUF and llama2.c agree with "
    "SentencePiece") {
  const auto data = lm_test::test_data("models/stories260K");
  const auto vectors = lm_test::test_data("tokenizers/tok512/sentencepiece-vectors.jsonl");
  if (!data || !vectors) return;
  const auto gguf = lm::GgufFile::open(*data + "/gguf/stories260K-Q4_0.gguf");
  const std::shared_ptr<const lm::Tokenizer> tokenizers[] = {
      lm::load_tokenizer_folder(*data + "/hf"), lm::load_tokenizer(gguf),
      lm::load_tokenizer_llama2c(*data + "/tok512.bin")};
  const char* names[] = {"tok512 (tokenizer.json)", "tok512 (GGUF)", "tok512 (tok512.bin)"};
  for (int i = 0; i < 3; ++i) {
    Score score;
    for (const json& line : read_lines(*vectors)) {
      const std::string text = line["text"];
      const Ids got = tokenizers[i]->encode(text, {.add_special = false});
      CHECK_MESSAGE(got == line["ids"].get<Ids>(), names[i] << ": " << text);
      score.add(got == line["ids"].get<Ids>());
    }
    CHECK(tokenizers[i]->bos() == 1);
    CHECK(tokenizers[i]->add_bos());
    CHECK(tokenizers[i]->is_eos(2));
    std::printf("  %-28s ids %d/%d\n", names[i], score.passed, score.total);
  }
}

TEST_CASE("SentencePiece vectors: Llama 2 from llama2.c's tokenizer.bin") {
  const auto folder = lm_test::test_data("tokenizers/llama2");
  if (!folder) return;
  const auto tokenizer = lm::load_tokenizer_llama2c(*folder + "/llama2c-tokenizer.bin");
  Score score;
  for (const json& line : read_lines(*folder + "/sentencepiece-vectors.jsonl")) {
    const Ids got = tokenizer->encode(line["text"].get<std::string>(), {.add_special = false});
    CHECK_MESSAGE(got == line["ids"].get<Ids>(), line["text"]);
    score.add(got == line["ids"].get<Ids>());
  }
  std::printf("  %-28s ids %d/%d\n", "llama2 (tokenizer.bin)", score.passed, score.total);
}

TEST_CASE("GGUF vocabularies: ids equal llama.cpp's for its own test inputs") {
  const auto folder = lm_test::test_data("tokenizers/gguf-vocabs");
  if (!folder) return;
  std::vector<std::string> inputs;
  const std::string all = lm::read_file(*folder + "/ggml-vocab.inp");
  const std::string separator = "\n__ggml_vocab_test__\n";
  for (size_t at = 0; at <= all.size();) {
    const size_t end = std::min(all.find(separator, at), all.size());
    inputs.push_back(all.substr(at, end - at));
    at = end + separator.size();
  }
  for (const std::string name : {"gpt-2", "starcoder", "llama-spm", "phi-3"}) {
    const auto tokenizer =
        lm::load_tokenizer(lm::GgufFile::open(*folder + "/ggml-vocab-" + name + ".gguf"));
    std::ifstream expected(*folder + "/ggml-vocab-" + name + ".gguf.out");
    Score score;
    for (const std::string& text : inputs) {
      std::string line;
      std::getline(expected, line);
      std::istringstream numbers(line);
      Ids ids;
      for (int32_t id; numbers >> id;) ids.push_back(id);
      const Ids got = tokenizer->encode(text, {.add_special = false});
      CHECK_MESSAGE(got == ids, name << ": " << text);
      score.add(got == ids);
    }
    std::printf("  %-28s ids %d/%d\n", ("GGUF " + name).c_str(), score.passed, score.total);
  }
  CHECK_THROWS_WITH(lm::load_tokenizer(lm::GgufFile::open(*folder + "/ggml-vocab-bert-bge.gguf")),
                    doctest::Contains("\"bert\""));
}

TEST_CASE("SmolLM2 GGUF: ids of the reference prompts and conversations") {
  const auto model = lm_test::test_model("SmolLM2-135M-Instruct.Q4_1.gguf");
  const auto golden = lm_test::test_data("models/real-goldens/smollm2-135m-instruct.q4_1.json");
  if (!model || !golden) return;
  const auto tokenizer = lm::load_tokenizer(lm::GgufFile::open(*model));
  const json expected = json::parse(lm::read_file(*golden));
  Score prompts, chats;
  for (const json& prompt : expected["prompts"]) {
    const Ids got = tokenizer->encode(prompt["text"].get<std::string>());
    CHECK_MESSAGE(got == prompt["ids"].get<Ids>(), prompt["id"]);
    prompts.add(got == prompt["ids"].get<Ids>());
    CHECK(tokenizer->decode(got) == prompt["text"].get<std::string>());
  }
  for (const json& chat : expected["chats"]) {
    const Ids got = tokenizer->encode(chat["rendered"].get<std::string>(),
                                      {.add_special = false, .parse_special = true});
    CHECK_MESSAGE(got == chat["ids"].get<Ids>(), chat["id"]);
    chats.add(got == chat["ids"].get<Ids>());
  }
  CHECK(tokenizer->size() == 49152);
  CHECK(tokenizer->bos() == 1);
  CHECK_FALSE(tokenizer->add_bos());
  CHECK(tokenizer->eos() == Ids{2, 0});
  std::printf("  %-28s prompts %d/%d, chats %d/%d\n", "GGUF SmolLM2-135M-Instruct", prompts.passed,
              prompts.total, chats.passed, chats.total);
}
