// Normalizers: steps that rewrite a stretch of text before it is cut into words. Names: Hugging
// Face tokenizers.
#pragma once

#include <functional>
#include <string>

#include "engine/text/unicode.h"

namespace lm {

using Normalizer = std::function<void(std::string&)>;

Normalizer unicode_form(NormalForm form);
Normalizer lowercase();
Normalizer prepend(const std::string& prefix);  // does nothing to an empty text
Normalizer replace_string(const std::string& what, const std::string& with);
Normalizer replace_regex(const std::string& pattern, const std::string& with);  // `with` is literal
Normalizer strip_whitespace(bool left, bool right);
Normalizer strip_accents();  // drops marks

struct BertRules {
  bool clean_text = true;            // control characters go, white space becomes a space
  bool handle_chinese_chars = true;  // spaces around CJK ideographs
  bool strip_accents = true;         // NFD without nonspacing marks
  bool lowercase = true;
};
Normalizer bert_normalizer(const BertRules& rules);
// The cleaning of Google's NMT models: control characters go, odd spaces become a space.
Normalizer nmt_normalizer();
// SentencePiece's character map as Hugging Face applies it: to grapheme clusters of at most 5 bytes
// as a whole, else character by character; of several entries that match the shortest counts.
// `map` as in charsmap.h.
Normalizer precompiled(std::string_view map);

}  // namespace lm
