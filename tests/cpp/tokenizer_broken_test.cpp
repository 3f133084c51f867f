// Tokenizer files that are broken, one mistake each: the error names it, and truncation at any byte
// never does worse than an error.
#include <doctest/doctest.h>

#include <cstring>

#include "engine/core/error.h"
#include "engine/formats/gguf.h"
#include "engine/text/charsmap.h"
#include "engine/text/tokenizer.h"
#include "gguf_builder.h"

using Ids = std::vector<int32_t>;

namespace {

using Load = std::shared_ptr<const lm::Tokenizer> (*)(std::string_view, const std::string&);

void fails(Load load, const std::string& bytes, const char* what) {
  CHECK_THROWS_WITH_AS(load(bytes, "broken"), doctest::Contains(what), lm::Error);
}

// Every prefix of a good file, and the file with every byte changed, gives a tokenizer or an Error.
void survives(Load load, const std::string& good) {
  const auto run = [&](const std::string& bytes) {
    try {
      const auto tokenizer = load(bytes, "broken");
      tokenizer->decode(tokenizer->encode("a b\xFF ab 12", {.parse_special = true}), false);
    } catch (const lm::Error&) {
    }
  };
  for (size_t n = 0; n < good.size(); ++n) run(good.substr(0, n));
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char change : {'\x00', '\x01', '\x7F', '\x80', '\xFF'}) {
      std::string bytes = good;
      bytes[i] = static_cast<char>(bytes[i] ^ change ^ 1);
      run(bytes);
    }
  }
}

std::string varint(uint64_t v) {
  std::string out;
  for (; v >= 128; v >>= 7) out += static_cast<char>(v | 128);
  return out + static_cast<char>(v);
}
std::string field(uint32_t number, const std::string& bytes) {
  return varint(number << 3 | 2) + varint(bytes.size()) + bytes;
}
std::string field(uint32_t number, uint64_t value) {
  return varint(number << 3) + varint(value);
}
std::string piece(const std::string& text, float score, uint64_t type = 1) {
  return field(1, field(1, text) + varint(2 << 3 | 5) +
                      std::string(reinterpret_cast<const char*>(&score), 4) + field(3, type));
}
std::string model(uint64_t type, const std::string& pieces) {
  return pieces + field(2, field(3, type) + field(40, uint64_t{0})) +
         field(3, field(3, uint64_t{1}));
}

const std::string kPieces = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) +
                            piece("\xE2\x96\x81", -2) + piece("a", -2) + piece("b", -3) +
                            piece("ab", -1) + piece("<u>", 0, 4);

}  // namespace

TEST_CASE("SentencePiece files: a small model works, broken ones say why") {
  const auto bpe = lm::load_tokenizer_sentencepiece(model(2, kPieces), "m");
  CHECK(bpe->encode("ab a<u>") == Ids{1, 3, 6, 3, 4, 7});
  CHECK(bpe->decode(Ids{3, 6, 0}) == "ab \xE2\x81\x87 ");
  const auto unigram = lm::load_tokenizer_sentencepiece(model(1, kPieces), "m");
  CHECK(unigram->encode("ab  ?! b", {.add_special = false}) == Ids{3, 6, 3, 0, 3, 5});
  const Load load = lm::load_tokenizer_sentencepiece;
  fails(load, "", "no pieces");
  fails(load, model(3, kPieces), "type 3");
  fails(load, model(2, kPieces + piece("x", 0, 9)), "of type 9");
  fails(load, model(2, kPieces + piece("\xFF", 0)), "not UTF-8");
  fails(load, "\x0B", "wire type 3");
  fails(load, std::string("\x0A\xFF\xFF\xFF\xFF\x0F", 6), "ends inside a field");
  fails(load, std::string(12, '\xFF'), "more than 10 bytes");
  survives(load, model(2, kPieces));
  survives(load, model(1, kPieces));
}

TEST_CASE("character maps: sizes that contradict each other, and tries that point anywhere") {
  const auto blob = [](uint32_t trie_bytes, const std::string& rest) {
    return std::string(reinterpret_cast<const char*>(&trie_bytes), 4) + rest;
  };
  CHECK_THROWS_WITH_AS(lm::CharsMap("abc"), doctest::Contains("3 bytes"), lm::Error);
  CHECK_THROWS_WITH_AS(lm::CharsMap(blob(400, "abcd")), doctest::Contains("400"), lm::Error);
  CHECK_THROWS_WITH_AS(lm::CharsMap(blob(6, "abcdefgh")), doctest::Contains("6"), lm::Error);
  for (int fill = 0; fill < 256; ++fill) {
    const lm::CharsMap map(blob(64, std::string(80, static_cast<char>(fill))));
    for (size_t i = 0; i < 256; ++i) map.longest(std::string(8, static_cast<char>(i)), 0);
  }
}

TEST_CASE("tiktoken files: broken lines are named") {
  const Load load = lm::load_tokenizer_tiktoken;
  const auto t = load("YQ== 0\nYg== 1\nYWI= 2\n", "ranks");
  CHECK(t->encode("abab") == Ids{2, 2});
  CHECK(t->warning().find("3 ranks") != std::string::npos);
  fails(load, "", "no ranks");
  fails(load, "YQ== 0\nYg==\n", "line 2");
  fails(load, "YQ== 0\nYg 1\n", "line 2");
  fails(load, "YQ== x\n", "line 1");
  fails(load, "YQ== -1\n", "line 1");
  fails(load, "YQ== 99999999\n", "line 1");
  fails(load, "YQ== 1\nYg== 1\n", "comes twice");
  survives(load, "YQ== 0\nYg== 1\nYWI= 2\n");
}

TEST_CASE("tekken files: missing and wrong members are named") {
  const Load load = lm::load_tokenizer_tekken;
  const std::string config =
      R"("config":{"pattern":"\\p{L}+|.","default_vocab_size":6,"default_num_special_tokens":3})";
  const std::string good = "{" + config +
                           R"(,"vocab":[{"rank":0,"token_bytes":"YQ==","token_str":"a"},)"
                           R"({"rank":1,"token_bytes":"Yg=="},{"rank":2,"token_bytes":"YWI="}]})";
  CHECK(load(good, "tekken")->encode("abb") == Ids{1, 5, 4});
  fails(load, "{}", "no config");
  fails(load, "{" + config + "}", "no config");
  fails(load, "{" + config + R"(,"vocab":[{"rank":0}]})", "token 0");
  fails(load, "{" + config + R"(,"vocab":[{"rank":-1,"token_bytes":"YQ=="}]})", "rank -1");
  fails(load, "{" + config + R"(,"vocab":[{"rank":0,"token_bytes":"?"}]})", "base64");
  fails(load, R"({"config":{"default_num_special_tokens":-1,"default_vocab_size":1},"vocab":[]})",
        "default_num_special_tokens");
  survives(load, good);
}

TEST_CASE("RWKV vocabularies: broken lines are named") {
  const Load load = lm::load_tokenizer_rwkv;
  const std::string good = "1 'a' 1\n2 \"b\" 1\n3 'ab' 2\n4 b'\\xff' 1\n5 '\\n' 1\n6 '\\u4e2d' 3\n";
  const auto t = load(good, "world");
  CHECK(t->encode("ab\xFF\n中b") == Ids{3, 4, 5, 6, 2});
  CHECK(t->decode(Ids{3, 6}) == "ab中");
  fails(load, "", "no tokens");
  fails(load, "1 'a'\n", "line 1");
  fails(load, "1 'a' 2\n", "line 1");
  fails(load, "1 'a\\q' 2\n", "line 1");
  fails(load, "1 'a\\x' 2\n", "line 1");
  fails(load, "2 'a' 1\n1 'b' 1\n", "id 1");
  fails(load, "99999999 'a' 1\n", "id 99999999");
  survives(load, good);
}

TEST_CASE("GGUF kinds: metadata that contradicts itself is named") {
  const auto load = [](const lm_test::GgufBuilder& file) {
    const std::string bytes = file.bytes();
    return lm::load_tokenizer(lm::GgufFile::parse(std::as_bytes(std::span(bytes)), "broken"));
  };
  const auto kind = [](const char* name) {
    return lm_test::GgufBuilder()
        .text("tokenizer.ggml.model", name)
        .texts("tokenizer.ggml.tokens", {"[UNK]", "[CLS]", "[SEP]",
                                         "\xE2\x96\x81"
                                         "a",
                                         "b"});
  };
  CHECK(load(kind("bert")
                 .u32("tokenizer.ggml.bos_token_id", 1)
                 .u32("tokenizer.ggml.seperator_token_id", 2)
                 .u32("tokenizer.ggml.unknown_token_id", 0))
            ->encode("ab a x") == Ids{1, 3, 4, 3, 0, 2});
  CHECK_THROWS_WITH(load(kind("bert").u32("tokenizer.ggml.bos_token_id", 9)),
                    doctest::Contains("bos_token_id is 9"));
  CHECK_THROWS_WITH(load(kind("t5")), doctest::Contains("scores has 0 entries"));
  CHECK_THROWS_WITH(load(kind("t5")
                             .floats("tokenizer.ggml.scores", {0, 0, 0, 0, 0})
                             .text("tokenizer.ggml.precompiled_charsmap", "x")),
                    doctest::Contains("not an array of bytes"));
  CHECK_THROWS_WITH(load(kind("t5")
                             .floats("tokenizer.ggml.scores", {0, 0, 0, 0, 0})
                             .u8s("tokenizer.ggml.precompiled_charsmap", "\xFF\xFF\xFF\xFFxxxx")),
                    doctest::Contains("precompiled_charsmap"));
  const auto none = load(lm_test::GgufBuilder()
                             .text("tokenizer.ggml.model", "none")
                             .text("general.architecture", "llama")
                             .u32("llama.vocab_size", 7));
  CHECK(none->size() == 7);
  CHECK_THROWS_WITH(none->encode("a"), doctest::Contains("no tokenizer"));
}
