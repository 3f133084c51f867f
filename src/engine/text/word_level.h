// The simplest token model: a word is a token or unknown.
#pragma once

#include "engine/text/token_model.h"
#include "engine/text/vocab.h"

namespace lm {

class WordLevel : public TokenModel {
 public:
  // `vocab` must outlive the model. unk: -1 drops words that are not tokens.
  WordLevel(const Vocab& vocab, int32_t unk) : vocab_(vocab), unk_(unk) {}
  void encode(const Words& words, std::vector<int32_t>& out) const override {
    for (const Words::Span span : words.spans) {
      const int32_t id =
          vocab_.find(std::string_view(words.text).substr(span.begin, span.end - span.begin));
      if (id >= 0 || unk_ >= 0) out.push_back(id >= 0 ? id : unk_);
    }
  }

 private:
  const Vocab& vocab_;
  int32_t unk_;
};

}  // namespace lm
