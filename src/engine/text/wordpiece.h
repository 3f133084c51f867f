// WordPiece: the longest token that a word begins with, then the longest that continues it, and so
// on; a word that cannot be covered is one unknown token. Source: Devlin et al. 2018
// (arXiv:1810.04805) and google-research/bert tokenization.py.
#pragma once

#include "engine/text/token_model.h"
#include "engine/text/trie.h"
#include "engine/text/vocab.h"

namespace lm {

struct WordPieceOptions {
  std::string first_prefix;              // of tokens that begin a word: "" or, in GGUF, "▁"
  std::string continuing_prefix = "##";  // of tokens inside a word: "##" or, in GGUF, ""
  size_t max_chars_per_word = SIZE_MAX;  // longer words are unknown
  int32_t unk = -1;                      // -1 drops what is not known
};

class WordPiece : public TokenModel {
 public:
  WordPiece(const Vocab& vocab, const WordPieceOptions& options);
  void encode(const Words& words, std::vector<int32_t>& out) const override;

 private:
  void encode_word(std::string_view word, std::vector<int32_t>& out) const;

  WordPieceOptions options_;
  Trie first_, continuing_;  // tokens without their prefix
  uint32_t serial_;
};

}  // namespace lm
