#include "engine/text/unicode.h"

#include <utf8proc.h>

#include <cstdlib>
#include <vector>

#include "engine/core/error.h"

namespace lm {

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F)),
        put(0x80 | (c & 0x3F));
  }
}

bool is_valid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    if (c.value == kInvalidCodePoint) return false;
    i += c.size;
  }
  return true;
}

namespace {

// Length of the ill-formed sequence at `at` that is replaced as one: the longest prefix of a
// well-formed character.
size_t invalid_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t b0 = byte(at);
  if (b0 < 0xC2 || b0 > 0xF4) return 1;
  const size_t want = b0 < 0xE0 ? 2 : b0 < 0xF0 ? 3 : 4;
  size_t n = 1;
  while (n < want && at + n < text.size()) {
    const uint8_t b = byte(at + n);
    uint8_t low = 0x80, high = 0xBF;
    if (n == 1) {
      if (b0 == 0xE0) low = 0xA0;
      if (b0 == 0xED) high = 0x9F;
      if (b0 == 0xF0) low = 0x90;
      if (b0 == 0xF4) high = 0x8F;
    }
    if (b < low || b > high) break;
    ++n;
  }
  return n;
}

}  // namespace

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    if (c.value != kInvalidCodePoint) {
      out.append(text.substr(i, c.size));
      i += c.size;
    } else {
      out.append("\xEF\xBF\xBD");
      i += invalid_length(text, i);
    }
  }
  return out;
}

size_t complete_utf8_prefix(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const size_t at = text.size() - back;
    const auto b = static_cast<uint8_t>(text[at]);
    if ((b & 0xC0) == 0x80) continue;
    if (b < 0xC2 || b > 0xF4) break;
    const size_t want = b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
    // Only a prefix of a possible character waits; a sequence that is already wrong does not.
    if (want > back && invalid_length(text, at) == back) return at;
    break;
  }
  return text.size();
}

namespace {

constexpr std::array<uint8_t, 128> make_ascii_classes() {
  std::array<uint8_t, 128> table{};
  for (size_t c = 0; c < 128; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool number = c >= '0' && c <= '9';
    const bool space = c == ' ' || (c >= 9 && c <= 13);
    const bool symbol = c == '$' || c == '+' || c == '<' || c == '=' || c == '>' || c == '^' ||
                        c == '`' || c == '|' || c == '~';
    const bool printable = c > 32 && c < 127;
    if (letter) table[c] = kLetter;
    if (number) table[c] = kNumber;
    if (space) table[c] = kSpace;
    if (symbol) table[c] = kSymbol;
    if (printable && !letter && !number && !symbol) table[c] = kPunct;
  }
  return table;
}

}  // namespace

const std::array<uint8_t, 128> kAsciiClass = make_ascii_classes();

uint8_t char_class_slow(char32_t c) {
  if (c > 0x10FFFF) return 0;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return kLetter;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return kMark;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return kNumber;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return kPunct;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return kSymbol;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return kSpace;
    default:
      return c == 0x85 ? kSpace : 0;
  }
}

namespace {

std::string map_valid(std::string_view text, utf8proc_option_t options) {
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t n =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &mapped, options);
  LM_CHECK(n >= 0, ErrorCode::internal, "tokenizer: Unicode normalisation of {} bytes failed: {}",
           text.size(), utf8proc_errmsg(n));
  std::string out(reinterpret_cast<const char*>(mapped), static_cast<size_t>(n));
  std::free(mapped);  // utf8proc allocates with malloc
  return out;
}

// Runs `map` over the well-formed stretches and copies ill-formed bytes.
template <typename Map>
std::string map_stretches(std::string_view text, Map&& map) {
  std::string out;
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    if (c.value == kInvalidCodePoint) {
      if (i > begin) out += map(text.substr(begin, i - begin));
      out.push_back(text[i]);
      begin = i + 1;
    }
    i += c.size;
  }
  if (begin < text.size()) out += map(text.substr(begin));
  return out;
}

bool is_ascii(std::string_view text) {
  for (const char c : text) {
    if (static_cast<uint8_t>(c) >= 0x80) return false;
  }
  return true;
}

// Characters that NFC leaves alone whatever stands beside them: no combining class, not composed
// with what comes before, and equal to their own NFC. Computed once, in 2 ms.
class NfcInert {
 public:
  static bool holds(std::string_view text) {
    static const NfcInert table;
    for (size_t i = 0; i < text.size();) {
      if (static_cast<uint8_t>(text[i]) < 0xCC) {  // below U+0300
        i += static_cast<uint8_t>(text[i]) < 0x80 ? 1 : 2;
        continue;
      }
      const CodePoint c = decode_utf8(text, i);
      if (c.value < kEnd && !table.inert_[c.value]) return false;
      i += c.size;
    }
    return true;
  }

 private:
  static constexpr char32_t kEnd = 0x30000;  // nothing above composes or decomposes
  NfcInert() : inert_(kEnd, true) {
    for (utf8proc_int32_t c = 0x300; c < static_cast<utf8proc_int32_t>(kEnd); ++c) {
      const utf8proc_property_t* p = utf8proc_get_property(c);
      const auto at = static_cast<size_t>(c);
      if (p->combining_class != 0 || p->comp_exclusion) inert_[at] = false;
      if (p->decomp_seqindex == UINT16_MAX || p->decomp_type != 0) continue;
      utf8proc_int32_t parts[8];
      const utf8proc_ssize_t n = utf8proc_decompose_char(c, parts, 8, UTF8PROC_DECOMPOSE, nullptr);
      std::string text;
      append_utf8(text, static_cast<char32_t>(c));
      if (map_valid(text, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE)) !=
          text)
        inert_[at] = false;  // such as U+212B, which becomes U+00C5
      for (utf8proc_ssize_t k = 1; k < n && k < 8; ++k) clear(static_cast<size_t>(parts[k]));
    }
    for (size_t c = 0x1161; c <= 0x1175; ++c) clear(c);  // Hangul vowels and final consonants
    for (size_t c = 0x11A8; c <= 0x11C2; ++c) clear(c);
  }
  void clear(size_t c) {
    if (c < kEnd) inert_[c] = false;
  }
  std::vector<bool> inert_;
};

}  // namespace

std::string normalize_unicode(std::string_view text, NormalForm form) {
  if (is_ascii(text)) return std::string(text);  // ASCII is in every normal form
  if (form == NormalForm::nfc && NfcInert::holds(text)) return std::string(text);
  int options = UTF8PROC_STABLE;
  options |=
      form == NormalForm::nfc || form == NormalForm::nfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::nfkc || form == NormalForm::nfkd) options |= UTF8PROC_COMPAT;
  return map_stretches(text, [&](std::string_view s) {
    return map_valid(s, static_cast<utf8proc_option_t>(options));
  });
}

std::string lowercase_unicode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = decode_utf8(text, i);
    if (c.value == kInvalidCodePoint) {
      out.push_back(text[i]);
    } else if (c.value == 0x130) {
      out += "i\xCC\x87";  // the only character whose lower case has two
    } else {
      append_utf8(out,
                  static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c.value))));
    }
    i += c.size;
  }
  return out;
}

namespace {

struct ByteAlphabet {
  std::array<char32_t, 256> to_char{};
  std::array<int16_t, 0x144> to_byte{};
  constexpr ByteAlphabet() {
    for (int16_t& b : to_byte) b = -1;
    char32_t next = 256;
    for (uint32_t b = 0; b < 256; ++b) {
      const bool itself = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      to_char[b] = itself ? b : next++;
      to_byte[to_char[b]] = static_cast<int16_t>(b);
    }
  }
};
constexpr ByteAlphabet kByteAlphabet;

}  // namespace

char32_t byte_level_char(uint8_t byte) {
  return kByteAlphabet.to_char[byte];
}

int byte_level_byte(char32_t c) {
  return c < kByteAlphabet.to_byte.size() ? kByteAlphabet.to_byte[c] : -1;
}

bool append_byte_level_bytes(std::string& out, std::string_view token_text) {
  const size_t size = out.size();
  for (size_t i = 0; i < token_text.size();) {
    const CodePoint c = decode_utf8(token_text, i);
    const int byte = byte_level_byte(c.value);
    if (byte < 0) {
      out.resize(size);
      return false;
    }
    out.push_back(static_cast<char>(byte));
    i += c.size;
  }
  return true;
}

}  // namespace lm
