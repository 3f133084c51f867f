// Pre-tokenizers: steps that cut a stretch of text into words (and may rewrite it), in the order
// the tokenizer file gives. Each step sees every word of the step before as a text of its own.
// Names and behaviour: Hugging Face tokenizers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/text/regex.h"
#include "engine/text/split_words.h"
#include "engine/text/token_model.h"

namespace lm {

using PreTokenizer = std::function<void(Words&)>;

// What happens to the matches of a split pattern.
enum class SplitBehavior : uint8_t {
  removed,
  isolated,
  merged_with_previous,
  merged_with_next,
  contiguous
};
enum class PrependScheme : uint8_t { always, first, never };

PreTokenizer split_by_kind(WordSplit kind);
// The words are the matches of a pattern and what lies between them; the splitter written for a
// known pattern, else a regular expression.
PreTokenizer split_by_pattern(const std::string& pattern);
// invert: the words are the matches, the separators what lies between.
PreTokenizer split_by_regex(const std::string& pattern, SplitBehavior behavior, bool invert);
PreTokenizer split_by_string(const std::string& separator, SplitBehavior behavior, bool invert);
PreTokenizer split_digits(bool individual);
PreTokenizer split_punctuation(SplitBehavior behavior);
PreTokenizer split_whitespace();                // words between white space, which is dropped
PreTokenizer split_fixed_length(size_t chars);  // the last word may be shorter
// Cuts where the script changes; Hiragana, Katakana and Han count as one, spaces as any script.
PreTokenizer split_scripts();
// Replaces spaces by `replacement`, puts one in front according to the scheme, and cuts before each
// of them when `split`.
PreTokenizer metaspace(const std::string& replacement, PrependScheme scheme, bool split);
// Puts a space in front of each word that does not begin with white space.
PreTokenizer add_prefix_space();
// Runs `inner` on GPT-2's visible alphabet instead of the bytes (for steps that follow ByteLevel in
// a file).
PreTokenizer on_byte_alphabet(PreTokenizer inner);

}  // namespace lm
