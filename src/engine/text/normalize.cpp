#include "engine/text/normalize.h"

#include <memory>

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

Normalizer strip_accents() {
  return [](std::string& text) {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size();) {
      const CodePoint c = decode_utf8(text, i);
      if ((char_class(c.value) & kMark) == 0) out.append(text, i, c.size);
      i += c.size;
    }
    text.swap(out);
  };
}

}  // namespace lm
