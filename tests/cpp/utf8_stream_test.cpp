#include "engine/text/utf8_stream.h"

#include <doctest/doctest.h>

#include <random>

#include "engine/text/unicode.h"

namespace {

// 256 byte tokens: every text is a sequence of them, cut between any two bytes.
std::shared_ptr<const lm::Tokenizer> byte_tokenizer() {
  std::string vocab;
  for (int b = 0; b < 256; ++b) {
    std::string key;
    lm::append_utf8(key, lm::byte_level_char(static_cast<uint8_t>(b)));
    if (key == "\"" || key == "\\") key.insert(0, "\\");
    vocab += (b > 0 ? ",\"" : "\"") + key + "\":" + std::to_string(b);
  }
  return lm::load_tokenizer_json(
      "{\"model\":{\"type\":\"BPE\",\"vocab\":{" + vocab +
          "}},\"pre_tokenizer\":{\"type\":\"ByteLevel\"},\"decoder\":{\"type\":\"ByteLevel\"}}",
      "bytes");
}

std::string stream(const std::string& bytes) {
  lm::Utf8Stream out(byte_tokenizer());
  std::string text;
  for (const char c : bytes) {
    const std::string piece = out.push(static_cast<uint8_t>(c));
    CHECK(lm::is_valid_utf8(piece));
    text += piece;
  }
  return text + out.finish();
}

}  // namespace

TEST_CASE("Utf8Stream: characters come out whole, and nothing is lost") {
  CHECK(stream("aé中😀z") == "aé中😀z");
  lm::Utf8Stream out(byte_tokenizer());
  CHECK(out.push(0xF0) == "");
  CHECK(out.push(0x9F) == "");
  CHECK(out.push(0x98) == "");
  CHECK(out.push(0x80) == "😀");
  CHECK(out.push(0xE4) == "");
  CHECK(out.finish() == "\xEF\xBF\xBD");
  CHECK(out.finish() == "");
}

TEST_CASE("Utf8Stream: ill-formed bytes become U+FFFD as in one piece") {
  for (const std::string bytes : {"\xC3(", "\x80\x80", "\xE2\x82", "\xF0\x80\x80", "a\xFF\xFE",
                                  "\xED\xA0\x80", "\xF4\x90\x80\x80x"}) {
    CHECK(stream(bytes) == lm::replace_invalid_utf8(bytes));
  }
  std::mt19937 random(2);
  for (int i = 0; i < 300; ++i) {
    std::string bytes;
    for (int k = 0; k < 8; ++k)
      bytes += static_cast<char>(random() % 2 == 0 ? random() % 256
                                                   : "\xE4\xB8\xAD\xF0\x9F"[random() % 5]);
    CHECK(stream(bytes) == lm::replace_invalid_utf8(bytes));
  }
}
