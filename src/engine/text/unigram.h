// Unigram language model: of all ways to cut a word into tokens, the one whose scores (log
// probabilities) add up highest, by Viterbi search. Source: Kudo 2018 (arXiv:1804.10959).
#pragma once

#include <array>

#include "engine/text/token_model.h"
#include "engine/text/trie.h"
#include "engine/text/vocab.h"

namespace lm {

struct UnigramOptions {
  int32_t unk = -1;  // for a run of characters that no token covers; -1 drops it
  double unk_score = 0;
  bool byte_fallback = false;     // unknown characters become <0x00>..<0xFF> where those exist
  bool single_precision = false;  // sums are rounded to float32, as SentencePiece adds them
};

class Unigram : public TokenModel {
 public:
  // `takes_part[id]`: the token may be used; `scores[id]` is its log probability. `vocab` must
  // outlive the model.
  Unigram(const Vocab& vocab, std::vector<double> scores, const std::vector<bool>& takes_part,
          const UnigramOptions& options);
  void encode(const Words& words, std::vector<int32_t>& out) const override;

 private:
  void encode_word(std::string_view word, std::vector<int32_t>& out) const;
  void append_unknown(std::string_view bytes, std::vector<int32_t>& out) const;

  std::vector<double> scores_;
  UnigramOptions options_;
  Trie trie_;
  std::array<int32_t, 256> byte_ids_{};
  uint32_t serial_;
};

}  // namespace lm
