// GGUF tokenizers against llama.cpp's own test outputs and the real models' reference ids (shared
// data). Vocabularies that exist in other formats only are put into a GGUF here.
#include <sstream>

#include "engine/core/mapped_file.h"
#include "engine/formats/gguf.h"
#include "engine/text/base64.h"
#include "gguf_builder.h"
#include "test_data.h"
#include "tokenizer_vectors.h"

using lm_test::check_vectors;
using lm_test::Ids;
using lm_test::Score;
using nlohmann::json;

namespace {

std::vector<std::string> llama_cpp_inputs(const std::string& folder) {
  std::vector<std::string> inputs;
  const std::string all = lm::read_file(folder + "/ggml-vocab.inp");
  const std::string separator = "\n__ggml_vocab_test__\n";
  for (size_t at = 0; at <= all.size();) {
    const size_t end = std::min(all.find(separator, at), all.size());
    inputs.push_back(all.substr(at, end - at));
    at = end + separator.size();
  }
  return inputs;
}

// Lines of ids, one for each input.
void check_outputs(const lm::Tokenizer& tokenizer, const std::string& folder,
                   const std::string& name) {
  std::ifstream expected(folder + "/ggml-vocab-" + name + ".gguf.out");
  Score score;
  for (const std::string& text : llama_cpp_inputs(folder)) {
    std::string line;
    std::getline(expected, line);
    std::istringstream numbers(line);
    Ids ids;
    for (int32_t id; numbers >> id;) ids.push_back(id);
    const Ids got = tokenizer.encode(text, {.add_special = false});
    CHECK_MESSAGE(got == ids, name << ": " << text << " -> " << json(got).dump());
    score.add(got == ids);
  }
  std::printf("table: %-30s ids %d/%d\n", ("GGUF " + name).c_str(), score.passed, score.total);
}

// A byte-level BPE vocabulary of a tokenizer.json as a GGUF with the pre-tokenizer `pre`.
std::string bpe_gguf(const json& root, const std::string& pre) {
  std::vector<std::string> tokens;
  std::vector<int32_t> kinds;
  const auto set = [&](size_t id, const std::string& text, int32_t kind) {
    if (id >= tokens.size()) tokens.resize(id + 1), kinds.resize(id + 1, 5);
    tokens[id] = text;
    kinds[id] = kind;
  };
  for (const auto& [text, id] : root["model"]["vocab"].items()) set(id.get<size_t>(), text, 1);
  for (const json& t : root["added_tokens"])
    set(t["id"].get<size_t>(), t["content"], t["special"].get<bool>() ? 3 : 4);
  std::vector<std::string> merges;
  for (const json& m : root["model"]["merges"])
    merges.push_back(m.is_string() ? m.get<std::string>()
                                   : m[0].get<std::string>() + " " + m[1].get<std::string>());
  return lm_test::GgufBuilder()
      .text("tokenizer.ggml.model", "gpt2")
      .text("tokenizer.ggml.pre", pre)
      .texts("tokenizer.ggml.tokens", tokens)
      .ints("tokenizer.ggml.token_type", kinds)
      .texts("tokenizer.ggml.merges", merges)
      .bytes();
}

std::shared_ptr<const lm::Tokenizer> load(const std::string& bytes) {
  return lm::load_tokenizer(lm::GgufFile::parse(std::as_bytes(std::span(bytes)), "test"));
}

}  // namespace

TEST_CASE("GGUF vocabularies: ids equal llama.cpp's for its own test inputs") {
  const auto folder = lm_test::test_data("tokenizers/gguf-vocabs");
  if (!folder) return;
  for (const std::string name : {"gpt-2", "starcoder", "llama-spm", "phi-3", "bert-bge"})
    check_outputs(
        *lm::load_tokenizer(lm::GgufFile::open(*folder + "/ggml-vocab-" + name + ".gguf")), *folder,
        name);
  struct Row {
    const char *name, *pre, *source;
  };
  for (const Row& row : {Row{"llama-bpe", "llama-bpe", "llama3"}, Row{"qwen2", "qwen2", "qwen2.5"},
                         Row{"falcon", "falcon", "falcon"}}) {
    const json root = json::parse(lm::read_file(*folder + "/../" + row.source + "/tokenizer.json"));
    check_outputs(*load(bpe_gguf(root, row.pre)), *folder, row.name);
  }
  check_outputs(*lm::open_tokenizer(*folder + "/../mistral-tekken/tekken_240718.json"), *folder,
                "tekken");
}

TEST_CASE("GGUF t5 and rwkv: the vocabularies of spiece.model and RWKV World") {
  const auto t5 = lm_test::test_data("tokenizers/t5-small");
  if (!t5) return;
  const json root = json::parse(lm::read_file(*t5 + "/tokenizer.json"));
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<int32_t> kinds;
  for (const json& piece : root["model"]["vocab"]) {
    const std::string text = piece[0];
    tokens.push_back(text);
    scores.push_back(piece[1].get<float>());
    kinds.push_back(text == "<unk>" ? 2 : text == "<pad>" || text == "</s>" ? 3 : 1);
    if (text.starts_with("<extra_id_")) kinds.back() = 3;
  }
  const std::string map =
      lm::decode_base64(root["normalizer"]["precompiled_charsmap"].get<std::string>());
  const auto unigram = load(lm_test::GgufBuilder()
                                .text("tokenizer.ggml.model", "t5")
                                .texts("tokenizer.ggml.tokens", tokens)
                                .floats("tokenizer.ggml.scores", scores)
                                .ints("tokenizer.ggml.token_type", kinds)
                                .u8s("tokenizer.ggml.precompiled_charsmap", map)
                                .boolean("tokenizer.ggml.add_space_prefix", true)
                                .boolean("tokenizer.ggml.remove_extra_whitespaces", true)
                                .bytes());
  // Hugging Face and llama.cpp add scores in double precision, SentencePiece does not: two of the
  // texts have ties that come out otherwise there.
  check_vectors(unigram, "GGUF t5", *t5 + "/vectors.jsonl");

  const auto world = lm_test::test_data("tokenizers/rwkv-world");
  if (!world) return;
  const auto reference = lm::open_tokenizer(*world + "/rwkv_vocab_v20230424.txt");
  std::vector<std::string> escaped(static_cast<size_t>(reference->size()));
  kinds.assign(escaped.size(), 1);
  kinds[0] = 3;
  for (size_t id = 0; id < escaped.size(); ++id) {
    for (const char c : reference->token_bytes(static_cast<int32_t>(id))) {
      char hex[8];
      std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned char>(c));
      escaped[id] += c == '\\'            ? "\\\\"
                     : c == '\n'          ? "\\n"
                     : c >= 32 && c < 127 ? std::string(1, c)
                                          : hex;
    }
  }
  check_vectors(load(lm_test::GgufBuilder()
                         .text("tokenizer.ggml.model", "rwkv")
                         .texts("tokenizer.ggml.tokens", escaped)
                         .ints("tokenizer.ggml.token_type", kinds)
                         .bytes()),
                "GGUF rwkv", *world + "/vectors.jsonl", false);
}

TEST_CASE("GGUF stories260K: ids equal SentencePiece's") {
  const auto data = lm_test::test_data("models/stories260K");
  const auto vectors = lm_test::test_data("tokenizers/tok512/sentencepiece-vectors.jsonl");
  if (!data || !vectors) return;
  const auto gguf = lm::GgufFile::open(*data + "/gguf/stories260K-Q4_0.gguf");
  const auto tokenizer = lm::load_tokenizer(gguf);
  check_vectors(tokenizer, "GGUF tok512", *vectors, false);
  CHECK(tokenizer->bos() == 1);
  CHECK(tokenizer->add_bos());
  CHECK(tokenizer->is_eos(2));
}

TEST_CASE("real models: ids of the reference prompts, conversations and sentences") {
  struct Row {
    const char *file, *golden;
  };
  const Row rows[] = {
      {"SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m-instruct.q4_1"},
      {"gemma-3-270m-q4_k_m.gguf", "gemma-3-270m.q4_k_m"},
      {"qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2.5-coder-0.5b-instruct.q4_k_m"},
      {"all-MiniLM-L6-v2", "all-minilm-l6-v2"},
  };
  for (const Row& row : rows) {
    const auto model = lm_test::test_model(row.file);
    const auto golden =
        lm_test::test_data(std::string("models/real-goldens/") + row.golden + ".json");
    if (!model || !golden) continue;
    const auto tokenizer = lm::open_tokenizer(*model);
    const json expected = json::parse(lm::read_file(*golden));
    Score prompts, chats, sentences;
    for (const json& prompt : expected.value("prompts", json::array())) {
      const Ids got = tokenizer->encode(prompt["text"].get<std::string>());
      CHECK_MESSAGE(got == prompt["ids"].get<Ids>(), row.golden << " " << prompt["id"]);
      prompts.add(got == prompt["ids"].get<Ids>());
      if (!prompt.contains("ids_llama_cpp"))  // there NFC changed the text
        CHECK(tokenizer->decode(got) == prompt["text"].get<std::string>());
    }
    for (const json& chat : expected.value("chats", json::array())) {
      const Ids got = tokenizer->encode(chat["rendered"].get<std::string>(),
                                        {.add_special = false, .parse_special = true});
      CHECK_MESSAGE(got == chat["ids"].get<Ids>(), row.golden << " " << chat["id"]);
      chats.add(got == chat["ids"].get<Ids>());
    }
    for (const json& sentence : expected.value("sentences", json::array())) {
      // The reference cuts to 256 tokens, keeping [SEP].
      Ids got = tokenizer->encode(sentence["text"].get<std::string>());
      if (got.size() > 256) got.resize(255), got.push_back(102);
      CHECK_MESSAGE(got == sentence["ids"].get<Ids>(), sentence["text"]);
      sentences.add(got == sentence["ids"].get<Ids>());
    }
    std::printf("table: %-30s prompts %d/%d, chats %d/%d, sentences %d/%d\n", row.file,
                prompts.passed, prompts.total, chats.passed, chats.total, sentences.passed,
                sentences.total);
    if (std::string(row.golden).starts_with("smollm2")) {
      CHECK(tokenizer->size() == 49152);
      CHECK(tokenizer->bos() == 1);
      CHECK_FALSE(tokenizer->add_bos());
      CHECK(tokenizer->eos() == Ids{2, 0});
    }
  }
}
