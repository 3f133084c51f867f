// The word splitters of the common byte-level BPE families, written by hand: several times the
// speed of a regular expression. tests compare each of them with its pattern under PCRE2.
#pragma once

#include "engine/text/token_model.h"

namespace lm {

enum class WordSplit : uint8_t {
  gpt2,    // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  llama3,  // (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
           // ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
  qwen2,   // as llama3 with \p{N} instead of \p{N}{1,3}
};

// Cuts [begin, end) of words.text into words, appended to `out`; covers every byte.
void split_words(WordSplit kind, std::string_view text, Words::Span span,
                 std::vector<Words::Span>& out);
// The pattern that `kind` stands for.
const char* word_split_pattern(WordSplit kind);
// The splitter for a pattern as published in tokenizer.json files; false when there is none.
bool word_split_for_pattern(std::string_view pattern, WordSplit* kind);

}  // namespace lm
