#include "engine/text/jinja/strings.h"

#include <utf8proc.h>

#include <algorithm>

#include "engine/text/unicode.h"

namespace lm::jinja {

namespace {

bool is_space_at(std::string_view s, size_t i) {
  return (char_class(decode_utf8(s, i).value) & kSpace) != 0;
}

size_t previous(std::string_view s, size_t at) {
  do --at;
  while (at > 0 && (static_cast<uint8_t>(s[at]) & 0xC0) == 0x80);
  return at;
}

template <typename Map>
std::string map_chars(std::string_view s, Map&& map) {
  std::string out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size();) {
    const CodePoint c = decode_utf8(s, i);
    if (c.value == kInvalidCodePoint) {
      out += s[i];
    } else {
      append_utf8(out, map(c.value));
    }
    i += c.size;
  }
  return out;
}

char32_t to_upper(char32_t c) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}
char32_t to_lower(char32_t c) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

}  // namespace

std::string strip_chars(std::string_view s, const std::string* chars, bool left, bool right) {
  const auto strips = [&](size_t i) {
    return chars == nullptr ? is_space_at(s, i)
                            : chars->find(s.substr(i, decode_utf8(s, i).size)) != std::string::npos;
  };
  size_t begin = 0, end = s.size();
  while (left && begin < end && strips(begin)) begin += decode_utf8(s, begin).size;
  while (right && end > begin) {
    const size_t last = previous(s, end);
    if (last < begin || !strips(last)) break;
    end = last;
  }
  return std::string(s.substr(begin, end - begin));
}

std::string upper_text(std::string_view s) {
  return map_chars(s, to_upper);
}

std::string title_text(std::string_view s) {
  bool inside = false;
  return map_chars(s, [&](char32_t c) {
    const bool letter = (char_class(c) & kLetter) != 0;
    const char32_t mapped = letter ? (inside ? to_lower(c) : to_upper(c)) : c;
    inside = letter;
    return mapped;
  });
}

std::string capitalize_text(std::string_view s) {
  bool first = true;
  return map_chars(
      s, [&](char32_t c) { return std::exchange(first, false) ? to_upper(c) : to_lower(c); });
}

bool replace_all(std::string_view s, std::string_view what, std::string_view with, int64_t limit,
                 size_t max_size, std::string* out) {
  size_t i = 0;
  while (limit != 0) {
    const size_t at = s.find(what, what.empty() && i > 0 ? i + 1 : i);
    if (at == s.npos) break;
    out->append(s.substr(i, at - i)).append(with);
    if (out->size() > max_size) return false;
    i = at + what.size();
    if (limit > 0) --limit;
  }
  out->append(s.substr(std::min(i, s.size())));
  return out->size() <= max_size;
}

List split_text(std::string_view s, const std::string* separator, int64_t limit, bool from_right) {
  List parts;
  if (separator != nullptr && from_right) {
    size_t end = s.size();
    while (limit != 0) {
      const size_t at =
          end < separator->size() ? s.npos : s.rfind(*separator, end - separator->size());
      if (at == s.npos) break;
      parts.emplace_back(s.substr(at + separator->size(), end - at - separator->size()));
      end = at;
      if (limit > 0) --limit;
    }
    parts.emplace_back(s.substr(0, end));
    std::reverse(parts.begin(), parts.end());
  } else if (separator != nullptr) {
    size_t begin = 0;
    for (; limit != 0; limit -= limit > 0 ? 1 : 0) {
      const size_t at = s.find(*separator, begin);
      if (at == s.npos) break;
      parts.emplace_back(s.substr(begin, at - begin));
      begin = at + separator->size();
    }
    parts.emplace_back(s.substr(begin));
  } else {
    for (size_t i = 0; i < s.size();) {
      if (is_space_at(s, i)) {
        i += decode_utf8(s, i).size;
        continue;
      }
      if (limit >= 0 && static_cast<int64_t>(parts.size()) == limit) {
        parts.emplace_back(strip_chars(s.substr(i), nullptr, false, true));
        break;
      }
      const size_t begin = i;
      while (i < s.size() && !is_space_at(s, i)) i += decode_utf8(s, i).size;
      parts.emplace_back(s.substr(begin, i - begin));
    }
  }
  return parts;
}

List split_lines(std::string_view s) {
  List lines;
  for (size_t i = 0; i < s.size();) {
    const size_t end = std::min(s.find_first_of("\r\n", i), s.size());
    lines.emplace_back(s.substr(i, end - i));
    i = end + (s.substr(end).starts_with("\r\n") ? 2 : 1);
  }
  return lines;
}

std::string escape_html(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (const char c : s) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace lm::jinja
