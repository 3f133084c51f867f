#include "engine/text/pre_tokenize.h"

#include "engine/text/unicode.h"

namespace lm {

namespace {

using Span = Words::Span;

Span span(size_t begin, size_t end) {
  return {static_cast<uint32_t>(begin), static_cast<uint32_t>(end)};
}

// Replaces every span by the spans that `split(text of the span, add(begin, end))` makes of it.
template <typename Split>
void refine(Words& words, Split&& split) {
  std::vector<Span> out;
  out.reserve(words.spans.size() * 2);
  for (const Span s : words.spans) {
    const std::string_view text = std::string_view(words.text).substr(s.begin, s.end - s.begin);
    split(text, [&](size_t begin, size_t end) {
      if (end > begin) out.push_back(span(s.begin + begin, s.begin + end));
    });
  }
  words.spans.swap(out);
}

struct Part {
  size_t begin, end;
  bool match;
};

// The text as alternating matches and gaps -> words, by behavior.
template <typename Add>
void apply_behavior(const std::vector<Part>& parts, SplitBehavior behavior, Add&& add) {
  size_t i = 0;
  const size_t n = parts.size();
  while (i < n) {
    size_t j = i + 1;
    switch (behavior) {
      case SplitBehavior::removed:
        if (!parts[i].match) add(parts[i].begin, parts[i].end);
        break;
      case SplitBehavior::isolated:
        add(parts[i].begin, parts[i].end);
        break;
      case SplitBehavior::contiguous:
        while (j < n && parts[j].match == parts[i].match) ++j;
        add(parts[i].begin, parts[j - 1].end);
        break;
      case SplitBehavior::merged_with_previous:
        if (!parts[i].match && j < n && parts[j].match) ++j;
        add(parts[i].begin, parts[j - 1].end);
        break;
      case SplitBehavior::merged_with_next:
        if (parts[i].match && j < n && !parts[j].match) ++j;
        add(parts[i].begin, parts[j - 1].end);
        break;
    }
    i = j;
  }
}

// find(text, found(begin, end)) lists the matches.
template <typename Find>
PreTokenizer split_matches(Find find, SplitBehavior behavior, bool invert) {
  return [find, behavior, invert](Words& words) {
    std::vector<Part> parts;
    refine(words, [&](std::string_view text, auto&& add) {
      parts.clear();
      size_t done = 0;
      find(text, [&](size_t begin, size_t end) {
        if (begin > done) parts.push_back({done, begin, invert});
        parts.push_back({begin, end, !invert});
        done = end;
      });
      if (done < text.size()) parts.push_back({done, text.size(), invert});
      apply_behavior(parts, behavior, add);
    });
  };
}

// Matches of one character each, chosen by `condition(code point, class)`.
template <typename Condition>
PreTokenizer split_characters(Condition condition, SplitBehavior behavior) {
  return split_matches(
      [condition](std::string_view text, auto&& found) {
        for (size_t i = 0; i < text.size();) {
          const CodePoint c = decode_utf8(text, i);
          if (condition(c.value, char_class(c.value))) found(i, i + c.size);
          i += c.size;
        }
      },
      behavior, false);
}

}  // namespace

PreTokenizer split_by_kind(WordSplit kind) {
  return [kind](Words& words) {
    std::vector<Span> out;
    out.reserve(words.spans.size() + words.text.size() / 4);
    for (const Span s : words.spans) split_words(kind, words.text, s, out);
    words.spans.swap(out);
  };
}

PreTokenizer split_by_pattern(const std::string& pattern) {
  WordSplit kind;
  if (word_split_for_pattern(pattern, &kind)) return split_by_kind(kind);
  return split_by_regex(pattern, SplitBehavior::isolated, false);
}

PreTokenizer split_by_regex(const std::string& pattern, SplitBehavior behavior, bool invert) {
  const auto regex = std::make_shared<const Regex>(pattern);
  return split_matches(
      [regex](std::string_view text, auto&& found) { regex->find_all(text, found); }, behavior,
      invert);
}

PreTokenizer split_by_string(const std::string& separator, SplitBehavior behavior, bool invert) {
  return split_matches(
      [separator](std::string_view text, auto&& found) {
        if (separator.empty()) return;
        for (size_t at = text.find(separator); at != text.npos;
             at = text.find(separator, at + separator.size())) {
          found(at, at + separator.size());
        }
      },
      behavior, invert);
}

PreTokenizer split_digits(bool individual) {
  return split_characters([](char32_t, uint8_t cls) { return (cls & kNumber) != 0; },
                          individual ? SplitBehavior::isolated : SplitBehavior::contiguous);
}

PreTokenizer split_punctuation(SplitBehavior behavior) {
  // ASCII symbols such as $ and + count as punctuation, as in BERT's tokenizer.
  return split_characters(
      [](char32_t c, uint8_t cls) {
        return (cls & kPunct) != 0 || (c < 128 && (cls & kSymbol) != 0);
      },
      behavior);
}

PreTokenizer split_whitespace() {
  return split_characters([](char32_t, uint8_t cls) { return (cls & kSpace) != 0; },
                          SplitBehavior::removed);
}

PreTokenizer split_fixed_length(size_t chars) {
  return [chars](Words& words) {
    refine(words, [&](std::string_view text, auto&& add) {
      size_t begin = 0, n = 0;
      for (size_t i = 0; i < text.size();) {
        i += decode_utf8(text, i).size;
        if (++n % chars != 0) continue;
        add(begin, i);
        begin = i;
      }
      add(begin, text.size());
    });
  };
}

PreTokenizer split_scripts() {
  // Every match is a run of one script, so neighbours differ.
  std::string pattern = R"([\p{Han}\p{Hiragana}\p{Katakana}\x{30FC}]+)";
  for (const char* script : {"Common",      "Inherited",  "Latin",     "Cyrillic",
                             "Greek",       "Arabic",     "Hebrew",    "Hangul",
                             "Thai",        "Devanagari", "Bengali",   "Tamil",
                             "Telugu",      "Gujarati",   "Gurmukhi",  "Kannada",
                             "Malayalam",   "Oriya",      "Sinhala",   "Lao",
                             "Tibetan",     "Myanmar",    "Georgian",  "Armenian",
                             "Ethiopic",    "Khmer",      "Mongolian", "Cherokee",
                             "Bopomofo",    "Yi",         "Syriac",    "Thaana",
                             "Tifinagh",    "Braille",    "Coptic",    "Gothic",
                             "Runic",       "Ogham",      "Nko",       "Javanese",
                             "Balinese",    "Sundanese",  "Tagalog",   "Canadian_Aboriginal",
                             "Cham",        "Vai",        "Osmanya",   "Deseret",
                             "Lisu",        "Limbu",      "Tai_Le",    "New_Tai_Lue",
                             "Tai_Tham",    "Tai_Viet",   "Ol_Chiki",  "Saurashtra",
                             "Kayah_Li",    "Rejang",     "Lepcha",    "Bamum",
                             "Meetei_Mayek"})
    pattern.append("|\\p{").append(script).append("}+");
  const auto regex = std::make_shared<const Regex>(pattern);
  const auto same_script = [regex](std::string_view a, std::string_view b) {
    const std::string two = std::string(a) + std::string(b);
    size_t first_end = 0;
    regex->find_all(two, [&](size_t from, size_t to) {
      if (from == 0) first_end = to;
    });
    return first_end == two.size();
  };
  return [regex, same_script](Words& words) {
    refine(words, [&](std::string_view text, auto&& add) {
      // What stands before the first character of a script is dropped, as by Hugging Face.
      size_t begin = text.size();
      std::string_view last;  // first character of the latest run
      regex->find_all(text, [&](size_t from, size_t to) {
        while (from < to && text[from] == ' ') ++from;  // a space is of every script
        if (from == to) return;
        const std::string_view c = text.substr(from, decode_utf8(text, from).size);
        if (!last.empty() && same_script(last, c)) return;
        if (!last.empty()) add(begin, from);
        begin = from;
        last = c;
      });
      add(begin, text.size());
    });
  };
}

PreTokenizer metaspace(const std::string& replacement, PrependScheme scheme, bool split) {
  return [=](Words& words) {
    std::string text;
    std::vector<Span> out;
    bool first = words.at_text_start;
    for (const Span s : words.spans) {
      const std::string_view in = std::string_view(words.text).substr(s.begin, s.end - s.begin);
      size_t begin = text.size();
      const bool prepend = scheme == PrependScheme::always ||
                           (scheme == PrependScheme::first && first && s.begin == 0);
      first = false;
      if (prepend && !in.starts_with(replacement) && !in.starts_with(' ')) text += replacement;
      for (size_t i = 0; i < in.size();) {
        const bool mark =
            in[i] == ' ' || (!replacement.empty() && in.substr(i).starts_with(replacement));
        if (mark && split && text.size() > begin) {
          out.push_back(span(begin, text.size()));
          begin = text.size();
        }
        if (mark) {
          text += replacement;
          i += in[i] == ' ' ? 1 : replacement.size();
        } else {
          text += in[i++];
        }
      }
      if (text.size() > begin) out.push_back(span(begin, text.size()));
    }
    words.text.swap(text);
    words.spans.swap(out);
  };
}

PreTokenizer add_prefix_space() {
  return [](Words& words) {
    std::string text;
    text.reserve(words.text.size() + words.spans.size());
    for (Span& s : words.spans) {
      const std::string_view in = std::string_view(words.text).substr(s.begin, s.end - s.begin);
      const size_t begin = text.size();
      const bool space = !in.empty() && (char_class(decode_utf8(in, 0).value) & kSpace) != 0;
      if (!in.empty() && !space) text += ' ';
      text += in;
      s = span(begin, text.size());
    }
    words.text.swap(text);
  };
}

PreTokenizer on_byte_alphabet(PreTokenizer inner) {
  return [inner = std::move(inner)](Words& words) {
    // Every byte is one character of the alphabet, so counting characters leads back to byte
    // positions.
    refine(words, [&](std::string_view text, auto&& add) {
      Words mapped;
      for (const char c : text) append_utf8(mapped.text, byte_level_char(static_cast<uint8_t>(c)));
      mapped.spans.push_back(span(0, mapped.text.size()));
      inner(mapped);
      size_t byte = 0, at = 0;
      const auto advance = [&](size_t to) {
        for (; at < to; ++byte) at += decode_utf8(mapped.text, at).size;
        return byte;
      };
      for (const Span s : mapped.spans) {
        const size_t begin = advance(s.begin);
        add(begin, advance(s.end));
      }
    });
  };
}

}  // namespace lm
