// Tokenizers of all file kinds but GGUF against ids computed by Hugging Face tokenizers,
// SentencePiece, tiktoken and the RWKV reference (shared data).
#include <filesystem>

#include "engine/core/mapped_file.h"
#include "test_data.h"
#include "tokenizer_vectors.h"

using lm_test::check_pairs;
using lm_test::check_vectors;
using nlohmann::json;

TEST_CASE("tokenizer.json: ids, pairs and text equal Hugging Face's for every reference text") {
  for (const char* name :
       {"gpt2", "smollm", "llama3", "qwen2.5", "falcon", "gpt-neox-20b", "roberta-base", "mistral",
        "llama2", "phi-3-mini", "t5-small", "all-minilm-l6-v2"}) {
    const auto folder = lm_test::test_data(std::string("tokenizers/") + name);
    if (!folder) return;
    const auto tokenizer =
        lm::load_tokenizer_json(lm::read_file(*folder + "/tokenizer.json"), name);
    check_vectors(tokenizer, name, *folder + "/vectors.jsonl");
    check_pairs(*tokenizer, name, *folder + "/pairs.json");
  }
}

TEST_CASE("tokenizer folders: what lies beside tokenizer.json changes nothing that it says") {
  for (const char* name : {"qwen2.5", "llama2", "mistral", "t5-small", "all-minilm-l6-v2"}) {
    const auto folder = lm_test::test_data(std::string("tokenizers/") + name);
    if (!folder) return;
    const auto tokenizer = lm::load_tokenizer_folder(*folder);
    check_vectors(tokenizer, std::string(name) + " (folder)", *folder + "/vectors.jsonl");
    check_pairs(*tokenizer, std::string(name) + " (folder)", *folder + "/pairs.json");
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
  const auto tokenizer = lm::load_tokenizer_json(root.dump(), "qwen3");
  check_vectors(tokenizer, "qwen3", *folder + "/vectors.jsonl");
  check_pairs(*tokenizer, "qwen3", *folder + "/pairs.json");
}

TEST_CASE(
    "vocab.json and merges.txt: Phi-4-mini, GPT-2 and Qwen2.5 as folders without tokenizer.json") {
  const auto phi = lm_test::test_data("tokenizers/phi-4-mini");
  if (!phi) return;
  const auto tokenizer = lm::load_tokenizer_folder(*phi);
  check_vectors(tokenizer, "phi-4-mini", *phi + "/vectors.jsonl");
  check_pairs(*tokenizer, "phi-4-mini", *phi + "/pairs.json");
  for (const std::string name : {"gpt2", "qwen2.5"}) {
    const auto source = lm_test::test_data("tokenizers/" + name);
    if (!source) return;
    const auto dir = std::filesystem::temp_directory_path() / ("lmfast_test_" + name);
    std::filesystem::remove_all(dir);
    std::filesystem::create_directories(dir);
    for (const char* file : {"vocab.json", "merges.txt", "tokenizer_config.json"}) {
      const std::filesystem::path from = std::filesystem::path(*source) / file;
      if (std::filesystem::exists(from)) std::filesystem::copy_file(from, dir / file);
    }
    if (name == "gpt2")
      std::ofstream(dir / "special_tokens_map.json") << R"({"eos_token": "<|endoftext|>"})";
    if (name == "gpt2") std::ofstream(dir / "added_tokens.json") << R"({"<|endoftext|>": 50256})";
    check_vectors(lm::load_tokenizer_folder(dir.string()), name + " (vocab, merges)",
                  *source + "/vectors.jsonl");
    std::filesystem::remove_all(dir);
  }
}

TEST_CASE("vocab.txt: BERT's vocabulary without tokenizer.json") {
  const auto folder = lm_test::test_data("tokenizers/all-minilm-l6-v2");
  if (!folder) return;
  const auto tokenizer = lm::open_tokenizer(*folder + "/vocab.txt");
  check_vectors(tokenizer, "all-minilm-l6-v2 (vocab.txt)", *folder + "/vectors.jsonl");
  check_pairs(*tokenizer, "all-minilm-l6-v2 (vocab.txt)", *folder + "/pairs.json");
}

TEST_CASE("SentencePiece models: ids and text equal SentencePiece's") {
  struct Row {
    const char *name, *model, *vectors;
  };
  const Row rows[] = {
      {"llama2 (.model)", "tokenizers/llama2/tokenizer.model",
       "tokenizers/llama2/sentencepiece-vectors.jsonl"},
      {"mistral v1 (.model)", "tokenizers/mistral/tokenizer.model.v1",
       "tokenizers/mistral/sentencepiece-v1-vectors.jsonl"},
      {"mistral v3 (.model)", "tokenizers/mistral/tokenizer.model.v3",
       "tokenizers/mistral/sentencepiece-v3-vectors.jsonl"},
      {"t5-small (spiece.model)", "tokenizers/t5-small/spiece.model",
       "tokenizers/t5-small/sentencepiece-vectors.jsonl"},
      {"tok512 (.model)", "models/stories260K/hf/tokenizer.model",
       "tokenizers/tok512/sentencepiece-vectors.jsonl"},
      {"tok512 (tok512.bin)", "models/stories260K/tok512.bin",
       "tokenizers/tok512/sentencepiece-vectors.jsonl"},
      {"llama2 (tokenizer.bin)", "tokenizers/llama2/llama2c-tokenizer.bin",
       "tokenizers/llama2/sentencepiece-vectors.jsonl"},
  };
  for (const Row& row : rows) {
    const auto model = lm_test::test_data(row.model), vectors = lm_test::test_data(row.vectors);
    if (!model || !vectors) return;
    check_vectors(lm::open_tokenizer(*model), row.name, *vectors, false);
  }
}

TEST_CASE("SentencePiece vectors: stories260K as tokenizer.json agrees with SentencePiece") {
  const auto data = lm_test::test_data("models/stories260K");
  const auto vectors = lm_test::test_data("tokenizers/tok512/sentencepiece-vectors.jsonl");
  if (!data || !vectors) return;
  const auto tokenizer = lm::load_tokenizer_folder(*data + "/hf");
  check_vectors(tokenizer, "tok512 (tokenizer.json)", *vectors, false);
  CHECK(tokenizer->bos() == 1);
  CHECK(tokenizer->add_bos());
  CHECK(tokenizer->is_eos(2));
}

TEST_CASE("tiktoken ranks, tekken and RWKV World: ids equal the references'") {
  struct Row {
    const char *name, *file, *vectors;
  };
  const Row rows[] = {
      {"p50k_base", "tiktoken/p50k_base.tiktoken", "tiktoken/p50k_base-vectors.jsonl"},
      {"cl100k_base", "tiktoken/cl100k_base.tiktoken", "tiktoken/cl100k_base-vectors.jsonl"},
      {"o200k_base", "tiktoken/o200k_base.tiktoken", "tiktoken/o200k_base-vectors.jsonl"},
      {"llama3 (tiktoken .model)", "llama3/tokenizer.model", "llama3/tiktoken-vectors.jsonl"},
      {"qwen2.5 (tiktoken)", "qwen2.5/qwen.tiktoken", "qwen2.5/tiktoken-vectors.jsonl"},
      {"mistral tekken", "mistral-tekken/tekken_240718.json", "mistral-tekken/vectors.jsonl"},
      {"rwkv world", "rwkv-world/rwkv_vocab_v20230424.txt", "rwkv-world/vectors.jsonl"},
  };
  for (const Row& row : rows) {
    const auto file = lm_test::test_data(std::string("tokenizers/") + row.file);
    const auto vectors = lm_test::test_data(std::string("tokenizers/") + row.vectors);
    if (!file || !vectors) return;
    const auto tokenizer = lm::open_tokenizer(*file);
    CHECK(tokenizer->warning() == "");
    check_vectors(tokenizer, row.name, *vectors, false);
    for (const json& line : lm_test::read_lines(*vectors)) {
      if (tokenizer->kind() != "unigram")
        CHECK(tokenizer->decode(line["ids"].get<lm_test::Ids>()) ==
              line["text"].get<std::string>());
    }
  }
}
