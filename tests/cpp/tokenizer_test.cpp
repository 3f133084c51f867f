// Tokenizers on small vocabularies of their own: rules, errors, hostile files. Reference ids are in
// tokenizer_golden_test.cpp.
#include "engine/text/tokenizer.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>

#include "engine/core/error.h"
#include "engine/formats/gguf.h"
#include "engine/text/pre_tokenize.h"
#include "engine/text/unicode.h"

using Ids = std::vector<int32_t>;

namespace {

// A byte-level BPE: "hello" and " world" merge fully; <e> is special, <u> user-defined.
constexpr const char* kSmall = R"({
 "model": {"type": "BPE", "vocab": {"h":0,"e":1,"l":2,"o":3,"Ġ":4,"w":5,"r":6,"d":7,"he":8,"ll":9,"hell":10,"hello":11,
  "Ġw":12,"or":13,"Ġwor":14,"ld":15,"Ġworld":16,"Ã":17,"©":18},
  "merges": ["h e","l l","he ll","hell o","Ġ w",["o","r"],"Ġw or","l d","Ġwor ld"]},
 "added_tokens": [{"id":19,"content":"<e>","special":true,"normalized":false},
                  {"id":20,"content":"<u>","special":false,"normalized":false,"lstrip":true,"rstrip":true}],
 "pre_tokenizer": {"type":"ByteLevel","add_prefix_space":false,"use_regex":true},
 "post_processor": {"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<e>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
   "special_tokens":{"<e>":{"id":"<e>","ids":[19],"tokens":["<e>"]}}},
 "decoder": {"type":"ByteLevel"}})";

std::string u32(uint32_t v) {
  return std::string(reinterpret_cast<const char*>(&v), 4);
}
std::string u64(uint64_t v) {
  return std::string(reinterpret_cast<const char*>(&v), 8);
}
std::string str(const std::string& s) {
  return u64(s.size()) + s;
}
std::string key_string(const std::string& key, const std::string& value) {
  return str(key) + u32(8) + str(value);
}
std::string key_u32(const std::string& key, uint32_t value) {
  return str(key) + u32(4) + u32(value);
}
std::string key_strings(const std::string& key, const std::vector<std::string>& values) {
  std::string out = str(key) + u32(9) + u32(8) + u64(values.size());
  for (const std::string& v : values) out += str(v);
  return out;
}
std::string key_floats(const std::string& key, const std::vector<float>& values) {
  std::string out = str(key) + u32(9) + u32(6) + u64(values.size());
  for (const float v : values) out.append(reinterpret_cast<const char*>(&v), 4);
  return out;
}
std::string gguf(const std::vector<std::string>& keys) {
  std::string out = "GGUF" + u32(3) + u64(0) + u64(keys.size());
  for (const std::string& k : keys) out += k;
  return out;
}
std::shared_ptr<const lm::Tokenizer> load(const std::string& bytes) {
  return lm::load_tokenizer(lm::GgufFile::parse(std::as_bytes(std::span(bytes)), "test"));
}

}  // namespace

TEST_CASE("byte-level BPE: merges, special tokens, white space around added tokens") {
  const auto t = lm::load_tokenizer_json(kSmall, "small");
  CHECK(t->size() == 21);
  CHECK(t->encode("hello world") == Ids{19, 11, 16});
  CHECK(t->encode("hello world", {.add_special = false}) == Ids{11, 16});
  CHECK(t->encode("helo", {.add_special = false}) == Ids{8, 2, 3});
  CHECK(t->encode("hello<e>", {.add_special = false, .parse_special = true}) == Ids{11, 19});
  // Without parse_special the text is text; characters outside of this vocabulary are dropped.
  CHECK(t->encode("<e>", {.add_special = false}) == Ids{1});
  CHECK(t->encode("hello \t<u>\n o", {.add_special = false}) == Ids{11, 20, 3});
  CHECK(t->decode(Ids{19, 11, 16}) == "hello world");
  CHECK(t->decode(Ids{19, 11}, false) == "<e>hello");
  CHECK(t->token_text(16) == "Ġworld");
  CHECK(t->token_bytes(16) == " world");
  CHECK(t->id_of("Ġworld") == 16);
  CHECK(t->id_of("nothing") == -1);
  CHECK(t->bos() == 19);
  CHECK(t->add_bos());
  CHECK(t->is_special(19));
  CHECK_FALSE(t->is_special(20));
  CHECK(t->encode("").size() == 1);
}

TEST_CASE("decode: ids outside of the vocabulary are an error, broken characters become U+FFFD") {
  const auto t = lm::load_tokenizer_json(kSmall, "small");
  CHECK(t->decode(Ids{17, 18}) == "é");
  CHECK(t->decode(Ids{17}) == "\xEF\xBF\xBD");
  CHECK_THROWS_WITH_AS(t->decode(Ids{21}), doctest::Contains("0 to 20"), lm::Error);
  CHECK_THROWS_AS(t->decode(Ids{-1}), lm::Error);
  CHECK_THROWS_AS(t->token_bytes(1 << 30), lm::Error);
}

TEST_CASE("ill-formed UTF-8 keeps its bytes in a byte-level vocabulary") {
  const auto t = lm::load_tokenizer_json(kSmall, "small");
  CHECK(t->encode("h\xC3o\xA9", {.add_special = false}) == Ids{0, 17, 3, 18});
}

TEST_CASE("long words merge as short ones do") {
  const auto t = lm::load_tokenizer_json(kSmall, "small");
  std::string text;
  Ids expected;
  for (int i = 0; i < 5000; ++i) {
    text += "hello";
    expected.push_back(11);
  }
  CHECK(t->encode(text, {.add_special = false}) == expected);
}

TEST_CASE("hand-written splitters cut as their patterns do under PCRE2") {
  std::mt19937 random(1);
  const std::vector<std::string> alphabet = {
      "a",  "B",        "s",        "S", "t", "'", "l",
      "L",  "v",        "e",        "1", "2", " ", " ",
      "\n", "\r",       "\t",       ".", "!", "é", "\xCC\x81",
      "中", "\xC5\xBF", "\xC2\xA0", "٣", "😀", "_", "\xE3\x80\x80",
      "½"};
  for (const auto kind : {lm::WordSplit::gpt2, lm::WordSplit::llama3, lm::WordSplit::qwen2}) {
    const auto by_hand = lm::split_by_kind(kind);
    const auto by_regex =
        lm::split_by_regex(lm::word_split_pattern(kind), lm::SplitBehavior::isolated, false);
    for (int i = 0; i < 20000; ++i) {
      lm::Words a;
      const size_t n = random() % 12;
      for (size_t k = 0; k < n; ++k) a.text += alphabet[random() % alphabet.size()];
      a.spans.push_back({0, static_cast<uint32_t>(a.text.size())});
      lm::Words b = a;
      by_hand(a);
      by_regex(b);
      std::string cut_a, cut_b;
      for (const auto s : a.spans) cut_a += a.text.substr(s.begin, s.end - s.begin) + "|";
      for (const auto s : b.spans) cut_b += b.text.substr(s.begin, s.end - s.begin) + "|";
      REQUIRE(cut_a == cut_b);
    }
  }
}

TEST_CASE("GGUF SentencePiece: scores decide, bytes cover the rest") {
  const std::vector<std::string> tokens = {
      "<unk>", "<s>", "</s>", "<0x0A>", "<0xC3>", "<0xA9>", "▁", "a", "b", "ab", "▁a", "▁ab", "ba"};
  const std::vector<float> scores = {0, 0, 0, 0, 0, 0, -10, -11, -12, -2, -3, -4, -1};
  const std::string kinds = str("tokenizer.ggml.token_type") + u32(9) + u32(5) + u64(13) + u32(2) +
                            u32(3) + u32(3) + u32(6) + u32(6) + u32(6) + u32(1) + u32(1) + u32(1) +
                            u32(1) + u32(1) + u32(1) + u32(1);
  const auto t = load(gguf(
      {key_string("tokenizer.ggml.model", "llama"), key_strings("tokenizer.ggml.tokens", tokens),
       key_floats("tokenizer.ggml.scores", scores), kinds,
       key_u32("tokenizer.ggml.bos_token_id", 1), key_u32("tokenizer.ggml.eos_token_id", 2),
       key_u32("tokenizer.ggml.unknown_token_id", 0)}));
  CHECK(t->encode("ab") == Ids{1, 11});
  CHECK(t->encode("aba", {.add_special = false}) == Ids{10, 12});
  CHECK(t->encode("é\n", {.add_special = false}) == Ids{6, 4, 5, 3});
  CHECK(t->encode("a<s>b", {.add_special = false, .parse_special = true}) == Ids{10, 1, 6, 8});
  CHECK(t->decode(t->encode("ab é\nab")) == "ab é\nab");
  CHECK(t->eos() == Ids{2});
  CHECK(t->strips_leading_space());
}

TEST_CASE("GGUF: what is not known or contradicts itself is named") {
  const std::vector<std::string> tokens = {"a", "b", "ab"};
  const auto bpe = [&](const std::string& pre, const std::vector<std::string>& merges,
                       uint32_t eos) {
    return gguf({key_string("tokenizer.ggml.model", "gpt2"), key_string("tokenizer.ggml.pre", pre),
                 key_strings("tokenizer.ggml.tokens", tokens),
                 key_strings("tokenizer.ggml.merges", merges),
                 key_u32("tokenizer.ggml.eos_token_id", eos)});
  };
  CHECK(load(bpe("gpt-2", {"a b"}, 2))->encode("ab") == Ids{2});
  CHECK(load(bpe("gpt-2", {"a b"}, 2))->warning().empty());
  CHECK_FALSE(load(bpe("default", {"a b"}, 2))->warning().empty());
  CHECK_THROWS_WITH(load(bpe("no-such", {"a b"}, 2)), doctest::Contains("no-such"));
  CHECK_THROWS_WITH(load(bpe("gpt-2", {"a b"}, 3)), doctest::Contains("eos_token_id is 3"));
  CHECK_THROWS_WITH(load(bpe("gpt-2", {"ab"}, 2)), doctest::Contains("merge 0"));
  CHECK_THROWS_WITH(load(bpe("gpt-2", {"x y", "y z"}, 2)), doctest::Contains("2 of 2 merges"));
  CHECK_THROWS_WITH(load(gguf({key_string("tokenizer.ggml.model", "novel")})),
                    doctest::Contains("\"novel\""));
  CHECK_THROWS_WITH(load(gguf({})), doctest::Contains("no tokenizer"));
  CHECK_THROWS_WITH(load(gguf({key_string("tokenizer.ggml.model", "llama"),
                               key_strings("tokenizer.ggml.tokens", tokens),
                               key_floats("tokenizer.ggml.scores", {1})})),
                    doctest::Contains("scores has 1 entries"));
  CHECK_THROWS_AS(
      load(gguf({key_string("tokenizer.ggml.model", "gpt2"),
                 str("tokenizer.ggml.tokens") + u32(9) + u32(8) + u64(uint64_t{1} << 60)})),
      lm::Error);
}

TEST_CASE("tokenizer.json: hostile and unsupported files give errors") {
  const auto fails = [](const std::string& json, const char* what) {
    CHECK_THROWS_WITH_AS(lm::load_tokenizer_json(json, "bad.json"), doctest::Contains(what),
                         lm::Error);
  };
  fails("{", "bad.json");
  fails("[]", "expected '{'");
  fails("{}", "model");
  fails(std::string(100000, '['), "bad.json");
  fails(R"({"model":{"type":"Novel","vocab":[]}})", "Novel");
  fails(R"({"model":{"type":"Unigram","vocab":[["a"]]}})", "vocab[0]");
  fails(R"({"model":{"type":"Unigram","vocab":[["a",0]],"unk_id":1}})", "unk_id");
  fails(R"({"model":{"type":"BPE","vocab":{"a":0}},"decoder":{"type":"Novel"}})", "Novel");
  fails(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[["a"]]}})", "merges[0]");
  fails(R"({"model":{"type":"BPE","vocab":{"a":0.5}}})", "integer");
  fails("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\xFF\":0}}}", "UTF-8");
  fails(
      R"({"model":{"type":"BPE","vocab":{"a":0}},"normalizer":{"type":"Precompiled","precompiled_charsmap":"AAA"}})",
      "base64");
  fails(R"({"model":{"type":"BPE","vocab":{"a":-1}}})", "-1");
  fails(R"({"model":{"type":"BPE","vocab":{"a":1152921504606846976}}})", "1152921504606846976");
  fails(R"({"model":{"type":"BPE","vocab":{"a":0,"b":0}}})", "both");
  fails(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}})", "merges[0]");
  fails(R"({"model":{"type":"BPE","vocab":{"a":0}},"pre_tokenizer":{"type":"Novel"}})", "Novel");
  fails(
      R"({"model":{"type":"BPE","vocab":{"a":0}},"pre_tokenizer":{"type":"Split","pattern":{"Regex":"("}}})",
      "pattern");
  fails(R"({"model":{"type":"BPE","vocab":{"a":0}},"added_tokens":[{"id":4194304,"content":"x"}]})",
        "4194304");
  fails(
      R"({"model":{"type":"BPE","vocab":{"a":0}},"post_processor":{"type":"BertProcessing","cls":["c",7],"sep":["s",0]}})",
      "id 7");
}

TEST_CASE("llama2.c: truncated files and lengths beyond the file give errors") {
  const auto parse = [](const std::string& bytes) {
    return lm::parse_tokenizer_llama2c(std::as_bytes(std::span(bytes)), "t.bin");
  };
  CHECK_THROWS_WITH(parse(u32(7) + u32(0) + u32(5) + "<un"),
                    doctest::Contains("token 0 has 5 bytes"));
  CHECK_THROWS_WITH(parse(u32(7) + u32(0)), doctest::Contains("ends inside token 0"));
  CHECK_THROWS_WITH(parse(u32(7)), doctest::Contains("not a llama2.c tokenizer"));
}

TEST_CASE("NFC: what needs no change is found so, and everything else equals utf8proc's NFC") {
  // Random mixes of characters that compose, decompose, reorder or do nothing; the reference is the
  // decomposition, composed again (NFC of NFD, which never takes the short way).
  std::mt19937 random(3);
  const std::vector<char32_t> alphabet = {'a',    'e',    0xE9,   0x300,  0x301,  0x316,   0x1161,
                                          0x11A8, 0x1100, 0xAC00, 0x212B, 0xF900, 0x1E9B,  0x323,
                                          0x9D7,  0x9BE,  0x4E2D, 0x3042, 0x3099, 0x1F600, 0x2F800};
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (size_t n = random() % 6; n > 0; --n)
      lm::append_utf8(text, alphabet[random() % alphabet.size()]);
    const std::string decomposed = lm::normalize_unicode(text, lm::NormalForm::nfd);
    // U+F900 becomes U+8C48, so that the text in front is never left alone.
    const std::string composed =
        lm::normalize_unicode("\xEF\xA4\x80" + decomposed, lm::NormalForm::nfc);
    REQUIRE("\xE8\xB1\x88" + lm::normalize_unicode(text, lm::NormalForm::nfc) == composed);
  }
}
