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

// One piece of what a pair of texts becomes: a token, or the first or second text.
struct TemplatePiece {
  static constexpr int32_t kFirst = -1, kSecond = -2;
  int32_t id = kFirst;
  uint8_t type_id = 0;
};

// What decode() does with spaces at the very beginning of a text.
enum class LeadingSpace : uint8_t {
  keep,
  drop_one,  // SentencePiece's dummy space
  drop_all   // all that the first token begins with (Hugging Face's Metaspace decoder)
};

struct TokenizerParts {
  std::string kind, name, warning;
  Vocab vocab;                               // with bytes set
  AddedTokens added_raw;                     // found in the text as it is
  std::vector<Normalizer> normalizers;       // run on each stretch between those
  AddedTokens added_normalized;              // found in the normalised text
  std::vector<PreTokenizer> pre_tokenizers;  // cut a stretch into words
  std::unique_ptr<TokenModel> model;         // words -> ids
  std::vector<int32_t> prefix, suffix;       // put around the ids when special tokens are added
  std::vector<TemplatePiece> pair;  // of two texts; empty: prefix, text, suffix, text, suffix
  LeadingSpace leading_space = LeadingSpace::keep;
  bool strip_trailing_space = false;  // the last token's space says that a word ended
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
void append_sentencepiece_bytes(std::string_view token_text, std::string& out);
// A WordPiece token as it adds to a text: "##ing" continues a word, all others begin one. cleanup:
// no space before punctuation and contractions.
void wordpiece_text(std::string& token, std::string_view prefix, bool cleanup);
// The byte of a token spelled <0x00>..<0xFF>, or -1.
int byte_token_value(std::string_view text);
// Names that end a turn in the known chat formats; a control token with such a name is an end even
// if no file says so.
void add_known_eos(TokenizerParts& parts);

}  // namespace lm
