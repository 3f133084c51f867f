#include "runtime/char_width.h"

#include <algorithm>
#include <iterator>

#include "engine/text/unicode.h"

namespace lm {
namespace {

struct Range {
  uint32_t first, last;
};
#include "runtime/char_width_table.inc"

template <size_t N>
bool contains(const Range (&table)[N], uint32_t code) {
  const Range* it = std::upper_bound(std::begin(table), std::end(table), code,
                                     [](uint32_t c, const Range& r) { return c < r.first; });
  return it != std::begin(table) && code <= std::prev(it)->last;
}

constexpr uint32_t kReplacement = 0xFFFD, kJoiner = 0x200D;

bool is_regional(uint32_t code) {
  return code >= 0x1F1E6 && code <= 0x1F1FF;
}
bool is_skin_tone(uint32_t code) {
  return code >= 0x1F3FB && code <= 0x1F3FF;
}

// Ill-formed bytes show as U+FFFD, one each.
struct Char {
  uint32_t value;
  size_t size;
};
Char char_at(std::string_view text, size_t at) {
  const CodePoint c = decode_utf8(text, at);
  return {c.value == kInvalidCodePoint ? kReplacement : static_cast<uint32_t>(c.value), c.size};
}

}  // namespace

int char_width(uint32_t code) {
  if (code < 0x20 || (code >= 0x7F && code < 0xA0)) return 0;
  if (code < 0x300) return 1;
  if (contains(kZeroWidth, code)) return 0;
  return contains(kWide, code) ? 2 : 1;
}

size_t escape_length(std::string_view text, size_t at) {
  if (text[at] != '\x1b') return 0;
  size_t i = at + 1;
  if (i >= text.size()) return 1;
  if (text[i] == '[') {
    for (++i; i < text.size(); ++i)
      if (text[i] >= '@' && text[i] <= '~') return i + 1 - at;
    return text.size() - at;
  }
  if (text[i] == ']') {
    for (++i; i < text.size(); ++i) {
      if (text[i] == '\a') return i + 1 - at;
      if (text[i] == '\x1b' && i + 1 < text.size() && text[i + 1] == '\\') return i + 2 - at;
    }
    return text.size() - at;
  }
  return 2;
}

int text_width(std::string_view text) {
  int cells = 0;
  for (size_t i = 0; i < text.size();) {
    if (const size_t skip = escape_length(text, i)) {
      i += skip;
      continue;
    }
    const Char c = char_at(text, i);
    cells += char_width(c.value);
    i += c.size;
  }
  return cells;
}

size_t next_cluster(std::string_view text, size_t at) {
  if (at >= text.size()) return text.size();
  Char c = char_at(text, at);
  size_t i = at + c.size;
  if (c.value < 0x20) return i;
  if (is_regional(c.value) && i < text.size()) {
    const Char second = char_at(text, i);
    if (is_regional(second.value)) i += second.size;
  }
  bool joined = false;
  while (i < text.size()) {
    c = char_at(text, i);
    if (c.value < 0x20) break;
    const bool mark = char_width(c.value) == 0 && c.value >= 0x300;
    if (!mark && !joined && !is_skin_tone(c.value)) break;
    joined = c.value == kJoiner;
    i += c.size;
  }
  return i;
}

size_t previous_cluster(std::string_view text, size_t at) {
  if (at == 0) return 0;
  // Clusters can only be told going forward; a line start is a safe place to begin.
  size_t i = text.rfind('\n', at - 1);
  if (i == at - 1) return i;
  i = i == std::string_view::npos ? 0 : i + 1;
  for (size_t next = next_cluster(text, i); next < at; next = next_cluster(text, i)) i = next;
  return i;
}

std::string clip(std::string_view text, int cells) {
  std::string out;
  int used = 0;
  size_t cut = 0;  // where the ellipsis would go
  for (size_t i = 0; i < text.size();) {
    if (const size_t skip = escape_length(text, i)) {
      i += skip;
      continue;
    }
    const Char c = char_at(text, i);
    if (c.value < 0x20 || c.value == 0x7F) {
      i += c.size;
      continue;
    }
    const int width = char_width(c.value);
    if (used + width > cells) {
      out.resize(cut);
      if (cells > 0) out += "…";
      return out;
    }
    append_utf8(out, c.value);
    used += width;
    if (used < cells) cut = out.size();
    i += c.size;
  }
  return out;
}

std::string sanitize_input(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (size_t i = 0; i < bytes.size();) {
    if (bytes[i] == '\r') {
      out.push_back('\n');
      i += i + 1 < bytes.size() && bytes[i + 1] == '\n' ? 2 : 1;
      continue;
    }
    if (const size_t skip = escape_length(bytes, i)) {
      i += skip;
      continue;
    }
    const Char c = char_at(bytes, i);
    const bool control = (c.value < 0x20 && c.value != '\n' && c.value != '\t') ||
                         (c.value >= 0x7F && c.value < 0xA0);
    if (!control) append_utf8(out, c.value);
    i += c.size;
  }
  return out;
}

}  // namespace lm
