// What a loader fills in to make a Tokenizer: the stages a text passes, in order. Internal to
// engine/text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/text/added_tokens.h"
#include "engine/text/normalize.h"
#include "engine/text/pre_tokenize.h"
#include "engine/text/token_model.h"
#include "engine/text/vocab.h"

namespace lm {

struct TokenizerParts {
  std::string kind, name, warning;
  Vocab vocab;                               // with bytes set
  AddedTokens added_raw;                     // found in the text as it is
  std::vector<Normalizer> normalizers;       // run on each stretch between those
  AddedTokens added_normalized;              // found in the normalised text
  std::vector<PreTokenizer> pre_tokenizers;  // cut a stretch into words
  std::unique_ptr<TokenModel> model;         // words -> ids
  std::vector<int32_t> prefix, suffix;       // put around the ids when special tokens are added
  bool strip_leading_space = false;
  int32_t bos = -1, pad = -1, unk = -1;
  std::vector<int32_t> eos;   // main one first
  std::vector<bool> special;  // by id

  void mark_special(int32_t id) {
    special.resize(static_cast<size_t>(vocab.size()));
    if (vocab.contains(id)) special[static_cast<size_t>(id)] = true;
  }
  // Adds to `eos` once; ignores ids outside the vocabulary.
  void add_eos(int32_t id) {
    for (const int32_t known : eos) {
      if (known == id) return;
    }
    if (vocab.contains(id)) eos.push_back(id);
  }
};

// Decoded bytes of byte-level tokens: the alphabet's bytes, or the text itself for tokens outside
// of the alphabet.
void set_byte_level_bytes(Vocab& vocab);
// Decoded bytes of SentencePiece tokens: "▁" is a space, <0x0A> a byte.
void set_sentencepiece_bytes(Vocab& vocab);
// The byte of a token spelled <0x00>..<0xFF>, or -1.
int byte_token_value(std::string_view text);
// Names that end a turn in the known chat formats; a control token with such a name is an end even
// if no file says so.
void add_known_eos(TokenizerParts& parts);

}  // namespace lm
