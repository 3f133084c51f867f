#include "engine/text/normalize.h"

#include <utf8proc.h>

#include <memory>

#include "engine/text/charsmap.h"
#include "engine/text/regex.h"

namespace lm {

Normalizer unicode_form(NormalForm form) {
  return [form](std::string& text) { text = normalize_unicode(text, form); };
}

Normalizer lowercase() {
  return [](std::string& text) { text = lowercase_unicode(text); };
}

Normalizer prepend(const std::string& prefix) {
  return [prefix](std::string& text) {
    if (!text.empty()) text.insert(0, prefix);
  };
}

Normalizer replace_string(const std::string& what, const std::string& with) {
  return [what, with](std::string& text) {
    size_t at = what.empty() ? text.npos : text.find(what);
    if (at == text.npos) return;
    std::string out;
    out.reserve(text.size() + text.size() / 4);
    size_t done = 0;
    for (; at != text.npos; at = text.find(what, done)) {
      out.append(text, done, at - done).append(with);
      done = at + what.size();
    }
    out.append(text, done);
    text.swap(out);
  };
}

Normalizer replace_regex(const std::string& pattern, const std::string& with) {
  const auto regex = std::make_shared<const Regex>(pattern);
  return [regex, with](std::string& text) {
    std::string out;
    size_t done = 0;
    regex->find_all(text, [&](size_t begin, size_t end) {
      out.append(text, done, begin - done).append(with);
      done = end;
    });
    out.append(text, done);
    text.swap(out);
  };
}

Normalizer strip_whitespace(bool left, bool right) {
  return [left, right](std::string& text) {
    size_t begin = text.size(), end = 0;  // of what is not white space
    for (size_t i = 0; i < text.size();) {
      const CodePoint c = decode_utf8(text, i);
      if ((char_class(c.value) & kSpace) == 0) {
        if (begin == text.size()) begin = i;
        end = i + c.size;
      }
      i += c.size;
    }
    if (right) text.resize(end);
    if (left) text.erase(0, std::min(begin, text.size()));
  };
}

namespace {

// Rewrites a text character by character: put(out, code point, bytes) appends what replaces each.
template <typename Put>
void rewrite(std::string& text, Put&& put) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  const std::string_view view = text;
  for (size_t i = 0; i < view.size();) {
    const CodePoint c = decode_utf8(view, i);
    put(out, c.value, view.substr(i, c.size));
    i += c.size;
  }
  text.swap(out);
}

utf8proc_category_t category(char32_t c) {
  return c > 0x10FFFF ? UTF8PROC_CATEGORY_CN : utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

// Control, format and private use characters.
bool is_other(char32_t c) {
  const utf8proc_category_t k = category(c);
  return k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO ||
         k == UTF8PROC_CATEGORY_CS;
}

// The blocks that BERT treats as Chinese; one bound is 0x2B920 in all implementations though the
// block begins at 0x2B820.
bool is_cjk_ideograph(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

void clean_bert_text(std::string& text) {
  rewrite(text, [](std::string& out, char32_t c, std::string_view bytes) {
    const bool line = c == '\t' || c == '\n' || c == '\r';
    if (c == 0 || c == 0xFFFD || (!line && is_other(c))) return;
    if (line || (char_class(c) & kSpace) != 0) {
      out += ' ';
    } else {
      out += bytes;
    }
  });
}

void space_out_cjk(std::string& text) {
  rewrite(text, [](std::string& out, char32_t c, std::string_view bytes) {
    if (is_cjk_ideograph(c)) {
      out.append(" ").append(bytes).append(" ");
    } else {
      out += bytes;
    }
  });
}

}  // namespace

Normalizer strip_accents() {
  return [](std::string& text) {
    rewrite(text, [](std::string& out, char32_t c, std::string_view bytes) {
      if ((char_class(c) & kMark) == 0) out += bytes;
    });
  };
}

Normalizer bert_normalizer(const BertRules& rules) {
  return [rules](std::string& text) {
    if (rules.clean_text) clean_bert_text(text);
    if (rules.handle_chinese_chars) space_out_cjk(text);
    if (rules.strip_accents) {
      text = normalize_unicode(text, NormalForm::nfd);
      rewrite(text, [](std::string& out, char32_t c, std::string_view bytes) {
        if (c < 0x300 || category(c) != UTF8PROC_CATEGORY_MN) out += bytes;
      });
    }
    if (rules.lowercase) text = lowercase_unicode(text);
  };
}

Normalizer nmt_normalizer() {
  return [](std::string& text) {
    rewrite(text, [](std::string& out, char32_t c, std::string_view bytes) {
      const bool dropped = (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F ||
                           c == 0x8F || c == 0x9F;
      const bool space = c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
                         (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                         c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
      if (space) {
        out += ' ';
      } else if (!dropped) {
        out += bytes;
      }
    });
  };
}

namespace {

// End of the grapheme cluster that begins at `at`.
size_t grapheme_end(std::string_view text, size_t at) {
  CodePoint c = decode_utf8(text, at);
  size_t end = at + c.size;
  utf8proc_int32_t state = 0;
  while (end < text.size() && c.value != kInvalidCodePoint) {
    const CodePoint next = decode_utf8(text, end);
    if (next.value == kInvalidCodePoint ||
        utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(c.value),
                                         static_cast<utf8proc_int32_t>(next.value), &state))
      break;
    end += next.size;
    c = next;
  }
  return end;
}

}  // namespace

Normalizer precompiled(std::string_view map_blob) {
  const auto map = std::make_shared<const CharsMap>(map_blob);
  return [map](std::string& text) {
    std::string out;
    out.reserve(text.size());
    const std::string_view view = text;
    for (size_t at = 0; at < view.size();) {
      const size_t end = grapheme_end(view, at);
      const CharsMap::Match whole =
          end - at < 6 ? map->shortest(view.substr(at, end - at), 0) : CharsMap::Match{};
      if (whole.size > 0) {
        out += whole.replacement;
        at = end;
        continue;
      }
      while (at < end) {
        const std::string_view bytes = view.substr(at, decode_utf8(view, at).size);
        const CharsMap::Match one = map->shortest(bytes, 0);
        out += one.size > 0 ? one.replacement : bytes;
        at += bytes.size();
      }
    }
    text.swap(out);
  };
}

}  // namespace lm
