#include "engine/text/sentencepiece_normalizer.h"

#include "engine/text/unicode.h"

namespace lm {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// What replaces the beginning of text[at..], and how many bytes that beginning has.
struct Prefix {
  std::string_view text;
  size_t consumed;
};

Prefix normalize_prefix(const CharsMap& map, const Trie* keep, std::string_view text, size_t at) {
  if (keep != nullptr) {
    const Trie::Match kept = keep->longest(text, at);
    if (kept.size > 0) return {text.substr(at, kept.size), kept.size};
  }
  const CharsMap::Match match = map.longest(text, at);
  if (match.size > 0) return {match.replacement, match.size};
  const CodePoint c = decode_utf8(text, at);
  if (c.value == kInvalidCodePoint) return {kReplacement, 1};
  return {text.substr(at, c.size), c.size};
}

}  // namespace

Normalizer sentencepiece_normalizer(std::shared_ptr<const CharsMap> map,
                                    std::shared_ptr<const Trie> keep,
                                    const SentencePieceRules& rules) {
  return [map = std::move(map), keep = std::move(keep), rules](std::string& text) {
    const std::string_view space = rules.escape_whitespaces ? "\xE2\x96\x81" : " ";
    const bool collapse = rules.remove_extra_whitespaces;
    size_t at = 0;
    if (collapse) {
      while (at < text.size()) {
        const Prefix p = normalize_prefix(*map, keep.get(), text, at);
        if (p.text != " ") break;
        at += p.consumed;
      }
    }
    std::string out;
    if (at == text.size()) {
      text.clear();
      return;
    }
    out.reserve(text.size() + text.size() / 4 + 8);
    if (rules.add_dummy_prefix && !rules.whitespace_as_suffix) out += space;
    bool after_space = collapse;
    while (at < text.size()) {
      const Prefix p = normalize_prefix(*map, keep.get(), text, at);
      at += p.consumed;
      std::string_view piece = p.text;
      while (after_space && piece.starts_with(' ')) piece.remove_prefix(1);
      if (!piece.empty()) after_space = collapse && piece.ends_with(' ');
      for (const char c : piece) {
        if (c == ' ') {
          out += space;
        } else {
          out += c;
        }
      }
    }
    if (collapse) {
      while (out.ends_with(space)) out.resize(out.size() - space.size());
    }
    if (rules.add_dummy_prefix && rules.whitespace_as_suffix) out += space;
    text.swap(out);
  };
}

}  // namespace lm
