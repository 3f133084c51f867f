// Byte pair encoding over token ids: split a word into its smallest tokens, then always apply the
// best merge of a list, leftmost first. Byte-level vocabularies (GPT-2) start from bytes, the
// others from characters, perhaps with a byte fallback (SentencePiece's in tokenizer.json). Source:
// Sennrich et al. 2016 (arXiv:1508.07909).
#pragma once

#include <array>

#include "engine/text/hash_tables.h"
#include "engine/text/token_model.h"
#include "engine/text/vocab.h"

namespace lm {

struct BpeOptions {
  bool byte_level = false;         // words are bytes, token texts are in GPT-2's byte alphabet
  bool byte_fallback = false;      // unknown characters become <0x00>..<0xFF>
  bool fuse_unk = false;           // a run of unknown characters is one unknown token
  bool ignore_merges = false;      // a word that is a token is that token, whatever the merges say
  std::string continuing_prefix;   // of the tokens of all characters of a word but the first
  std::string end_of_word_suffix;  // of the token of the last character
  int32_t unk = -1;                // for what nothing else covers; -1 drops it
};

class Bpe : public TokenModel {
 public:
  // `vocab` must outlive the model and already hold every token that merges produce.
  Bpe(const Vocab& vocab, MergeTable merges, const BpeOptions& options);
  void encode(const Words& words, std::vector<int32_t>& out) const override;

 private:
  void encode_word(std::string_view word, std::vector<int32_t>& out) const;
  void initial_tokens(std::string_view word, std::vector<int32_t>& out) const;
  int32_t affixed_token(std::string_view character, bool first, bool last) const;
  void append_unknown(std::string_view bytes, std::vector<int32_t>& out, bool& in_unknown) const;
  void merge_short(std::vector<int32_t>& ids, size_t begin) const;
  void merge_long(std::vector<int32_t>& ids, size_t begin) const;
  bool splits_before_space() const;
  int32_t whole_word(std::string_view word) const;

  const Vocab& vocab_;
  MergeTable merges_;
  BpeOptions options_;
  std::array<int32_t, 256>
      byte_ids_{};  // token of each byte (byte level, or the <0x..> tokens), -1 when missing
  std::array<int32_t, 128> ascii_ids_{};  // token of each ASCII character
  bool split_before_space_ =
      false;  // no token holds a "▁" after another character: such places are word borders
  bool has_affixes_ = false;
  uint32_t serial_;  // names this model in the per-thread word cache
};

}  // namespace lm
