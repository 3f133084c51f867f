// Greedy longest match over bytes: always the longest token that the rest of the text begins with.
// Source: BlinkDL/RWKV-LM RWKV-v5/tokenizer (World tokenizer).
#pragma once

#include "engine/text/token_model.h"
#include "engine/text/trie.h"
#include "engine/text/vocab.h"

namespace lm {

class Greedy : public TokenModel {
 public:
  // Tokens are matched by their decoded bytes; special tokens take no part. unk: for bytes that no
  // token covers; -1 drops them.
  Greedy(const Vocab& vocab, int32_t unk);
  void encode(const Words& words, std::vector<int32_t>& out) const override;

 private:
  Trie trie_;
  int32_t unk_;
};

}  // namespace lm
