// Byte pair encoding by scores instead of a merge list: two neighbours merge when together they are
// a token, the best score first, of equal scores the leftmost. SentencePiece starts from
// characters, tiktoken from bytes, where the score is the token's rank. No table of pairs is built:
// a pair is looked up by its text. Source: google/sentencepiece src/bpe_model.cc, openai/tiktoken
// src/lib.rs.
#pragma once

#include <array>

#include "engine/text/token_model.h"
#include "engine/text/vocab.h"

namespace lm {

struct ScoredBpeOptions {
  bool bytes = false;          // start from bytes; else from UTF-8 characters
  bool byte_fallback = false;  // unknown characters become <0x00>..<0xFF>
  bool whole_words = false;    // a word that is a token is that token
  int32_t unk = -1;            // for a run of what nothing else covers; -1 drops it
};

class ScoredBpe : public TokenModel {
 public:
  // scores: one per id; NaN counts as the lowest. Tokens that are not `normal` or `unused` take no
  // part. `vocab` must outlive the model.
  ScoredBpe(const Vocab& vocab, const std::vector<float>& scores, const ScoredBpeOptions& options);
  void encode(const Words& words, std::vector<int32_t>& out) const override;

 private:
  struct Symbol;
  void encode_stretch(std::string_view stretch, std::vector<int32_t>& out) const;
  void encode_word(std::string_view word, std::vector<int32_t>& out) const;
  uint32_t rank_of(std::string_view text) const;
  void split_symbols(std::string_view word, std::vector<Symbol>& symbols) const;
  void merge_short(std::string_view word, std::vector<Symbol>& symbols) const;
  void merge_long(std::string_view word, std::vector<Symbol>& symbols) const;
  void append_ids(std::string_view word, const std::vector<Symbol>& symbols,
                  std::vector<int32_t>& out) const;
  void find_crossings();
  bool crosses(std::string_view before) const;

  const Vocab& vocab_;
  std::vector<uint32_t> ranks_;  // by id, low merges first; UINT32_MAX: takes no part
  ScoredBpeOptions options_;
  std::array<int32_t, 256> byte_ids_{};
  // Characters that stand before "▁" inside some token. Elsewhere a text may be cut before "▁",
  // which makes words short and the word cache useful although there is no pre-tokenizer.
  std::vector<char32_t> crossings_;
  bool cut_before_space_ = false;
  uint32_t serial_;
};

}  // namespace lm
