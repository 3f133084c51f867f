// Derivatives of the inside of a JSON string. Phases: 0 between characters, 1 behind a backslash,
// 2 to 5 behind \u and that many hexadecimal digits less 2, 6 and 7 before the \ and u that a high
// surrogate needs, 8 to 11 among the digits of the low one. The value holds the digits so far, and
// above them the high surrogate's ten bits.
#include <algorithm>

#include "engine/infer/constrain/grammar.h"
#include "engine/text/unicode.h"

namespace lm {
namespace {

int hex_digit(uint8_t b) {
  if (b >= '0' && b <= '9') return b - '0';
  if (b >= 'a' && b <= 'f') return b - 'a' + 10;
  if (b >= 'A' && b <= 'F') return b - 'A' + 10;
  return -1;
}

int escaped(uint8_t b) {
  switch (b) {
    case '"':
    case '\\':
    case '/':
      return b;
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return -1;
  }
}

// The first byte of a code point whose UTF-8 has `left` more.
uint32_t lead_byte(uint32_t code_point, uint32_t left) {
  constexpr uint32_t kPrefix[4] = {0, 0xC0, 0xE0, 0xF0};
  return kPrefix[left] | code_point >> (6 * left);
}

}  // namespace

// Whether a text may begin with a character of [first, last], all of the same length in UTF-8;
// `byte` of the first and last of them is what comes next, with `left` bytes behind it.
bool Grammar::some_character(ExprId text, uint32_t first, uint32_t last, uint32_t left, bool lead) {
  const auto byte_of = [&](uint32_t c) {
    return lead ? lead_byte(c, left) : 0x80 | (c >> (6 * left) & 0x3F);
  };
  ExprId failed = kNothing;  // what the last bytes led to, in vain
  for (uint32_t b = byte_of(first); b <= byte_of(last); ++b) {
    const ExprId next = raw_row(text).at(static_cast<uint8_t>(b));
    if (next == kNothing || next == failed) continue;
    const uint32_t size = 1u << (6 * left), at = (first / size + (b - byte_of(first))) * size;
    const uint32_t from = std::max(first, at), to = std::min(last, at + size - 1);
    if (left == 0 ? productive(next) : some_character(next, from, to, left - 1, false)) return true;
    if (from == at && to == at + size - 1) failed = next;
  }
  return false;
}

bool Grammar::some_character(ExprId text, uint32_t first, uint32_t last) {
  constexpr uint32_t kEnds[4] = {0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
  uint32_t begin = 0;
  for (uint32_t left = 0; left < 4; ++left) {
    const uint32_t from = std::max(first, begin), to = std::min(last, kEnds[left]);
    if (from <= to && some_character(text, from, to, left, true)) return true;
    begin = kEnds[left] + 1;
  }
  return false;
}

// Whether some character ends the escape that this state is in, and leads on.
bool Grammar::escape_productive(ExprId e) {
  const ExprId text = words(e)[0];
  const uint32_t phase = words(e)[1], value = words(e)[2];
  if (phase <= 2) return some_character(text, 0, 0x10FFFF);
  const auto beyond = [&](uint32_t high, uint32_t count) {  // pairs with `count` high surrogates
    return some_character(text, 0x10000 + (high << 10), 0x10000 + ((high + count) << 10) - 1);
  };
  if (phase <= 5) {
    const uint32_t shift = 4 * (6 - phase), unit = value << shift, size = 1u << shift;
    if (some_character(text, unit, unit + size - 1)) return true;
    const uint32_t from = std::max(unit, 0xD800u), to = std::min(unit + size, 0xDC00u);
    return from < to && beyond(from - 0xD800, to - from);
  }
  const uint32_t high = value >> 16;
  if (phase <= 8) return beyond(high, 1);
  const uint32_t shift = 4 * (12 - phase), unit = (value & 0xFFFF) << shift;
  const uint32_t from = std::max(unit, 0xDC00u), to = std::min(unit + (1u << shift), 0xE000u);
  const uint32_t base = 0x10000 + (high << 10);
  return from < to && some_character(text, base + from - 0xDC00, base + to - 1 - 0xDC00);
}

ExprId Grammar::json_string_code_point(ExprId text, uint32_t code_point) {
  std::string encoded;
  append_utf8(encoded, code_point);
  for (const char c : encoded) text = raw_row(text).at(static_cast<uint8_t>(c));
  return raw_json_string(text, 0, 0);
}

ExprId Grammar::derive_json_string(ExprId e, uint8_t b) {
  const ExprId text = words(e)[0];
  const uint32_t phase = words(e)[1], value = words(e)[2];
  switch (phase) {
    case 0:
      if (b == '"') return nullable(text) ? kEpsilon : kNothing;
      if (b == '\\') return raw_json_string(text, 1, 0);
      return b < 0x20 ? kNothing : raw_json_string(raw_row(text).at(b), 0, 0);
    case 1:
      if (b == 'u') return raw_json_string(text, 2, 0);
      if (const int c = escaped(b); c >= 0)
        return raw_json_string(raw_row(text).at(static_cast<uint8_t>(c)), 0, 0);
      return kNothing;
    case 6:
      return b == '\\' ? raw_json_string(text, 7, value) : kNothing;
    case 7:
      return b == 'u' ? raw_json_string(text, 8, value) : kNothing;
    default:
      break;
  }
  const int digit = hex_digit(b);
  if (digit < 0) return kNothing;
  const uint32_t high = value >> 16;
  const uint32_t unit = (value & 0xFFFF) << 4 | static_cast<uint32_t>(digit);
  if (phase != 5 && phase != 11) return raw_json_string(text, phase + 1, high << 16 | unit);
  const bool low = unit >= 0xDC00 && unit < 0xE000;
  if (phase == 11)
    return low ? json_string_code_point(text, 0x10000 + (high << 10) + (unit - 0xDC00)) : kNothing;
  if (unit >= 0xD800 && unit < 0xDC00) return raw_json_string(text, 6, (unit - 0xD800) << 16);
  return low ? kNothing : json_string_code_point(text, unit);
}

}  // namespace lm
