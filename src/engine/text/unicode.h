// UTF-8 and the few Unicode properties that tokenizers ask for. ASCII is answered from a table, the
// rest by utf8proc.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace lm {

// One decoded code point. An ill-formed byte has value kInvalidCodePoint and size 1, so that every
// scan makes progress and no byte is ever lost.
inline constexpr char32_t kInvalidCodePoint = 0xFFFFFFFF;
struct CodePoint {
  char32_t value = kInvalidCodePoint;
  uint32_t size = 1;  // bytes, 1 to 4
};

// Decodes at `text[at]`; at < text.size(). Overlong forms, surrogates and values above U+10FFFF are
// ill-formed.
inline CodePoint decode_utf8(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint32_t b0 = byte(at);
  if (b0 < 0x80) return {b0, 1};
  if (b0 < 0xC2 || b0 > 0xF4) return {};
  const uint32_t size = b0 < 0xE0 ? 2 : b0 < 0xF0 ? 3 : 4;
  if (text.size() - at < size) return {};
  const uint32_t b1 = byte(at + 1);
  if ((b1 & 0xC0) != 0x80) return {};
  if (size == 2) return {(b0 & 0x1F) << 6 | (b1 & 0x3F), 2};
  const uint32_t b2 = byte(at + 2);
  if ((b2 & 0xC0) != 0x80) return {};
  if (size == 3) {
    if ((b0 == 0xE0 && b1 < 0xA0) || (b0 == 0xED && b1 > 0x9F)) return {};
    return {(b0 & 0xF) << 12 | (b1 & 0x3F) << 6 | (b2 & 0x3F), 3};
  }
  const uint32_t b3 = byte(at + 3);
  if ((b3 & 0xC0) != 0x80 || (b0 == 0xF0 && b1 < 0x90) || (b0 == 0xF4 && b1 > 0x8F)) return {};
  return {(b0 & 7) << 18 | (b1 & 0x3F) << 12 | (b2 & 0x3F) << 6 | (b3 & 0x3F), 4};
}

void append_utf8(std::string& out, char32_t code_point);
bool is_valid_utf8(std::string_view text);
// Each maximal ill-formed subsequence becomes one U+FFFD (Unicode 15, section 3.9, "best
// practice").
std::string replace_invalid_utf8(std::string_view text);
// Length of the longest prefix that does not end inside a character that further bytes could
// complete.
size_t complete_utf8_prefix(std::string_view text);

// Property bits. An ill-formed byte has none of them.
enum CharClass : uint8_t {
  kLetter = 1,  // L*
  kNumber = 2,  // N*
  kSpace = 4,   // White_Space
  kPunct = 8,   // P*
  kMark = 16,   // M*
  kSymbol = 32  // S*
};
uint8_t char_class_slow(char32_t code_point);
extern const std::array<uint8_t, 128> kAsciiClass;
inline uint8_t char_class(char32_t c) {
  return c < 128 ? kAsciiClass[c] : char_class_slow(c);
}

enum class NormalForm : uint8_t { nfc, nfd, nfkc, nfkd };
// Normalises the well-formed stretches of `text`; ill-formed bytes pass through unchanged.
std::string normalize_unicode(std::string_view text, NormalForm form);
std::string lowercase_unicode(std::string_view text);

// The byte <-> character table of GPT-2's byte-level tokens: printable Latin-1 stands for itself,
// the other 68 bytes for U+0100 upwards. Source: openai/gpt-2 src/encoder.py, bytes_to_unicode.
char32_t byte_level_char(uint8_t byte);
// The byte a character stands for, or -1.
int byte_level_byte(char32_t code_point);
// Token text of the byte alphabet -> raw bytes appended to `out`; false (and `out` unchanged) when
// a character is not in it.
bool append_byte_level_bytes(std::string& out, std::string_view token_text);

}  // namespace lm
