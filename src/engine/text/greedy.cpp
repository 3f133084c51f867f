#include "engine/text/greedy.h"

namespace lm {

Greedy::Greedy(const Vocab& vocab, int32_t unk) : unk_(unk) {
  std::vector<Trie::Entry> entries;
  entries.reserve(static_cast<size_t>(vocab.size()));
  for (int32_t id = 0; id < vocab.size(); ++id) {
    if (vocab.kind(id) == TokenKind::normal) entries.push_back({vocab.bytes(id), id});
  }
  trie_ = Trie(std::move(entries));
}

void Greedy::encode(const Words& words, std::vector<int32_t>& out) const {
  for (const Words::Span span : words.spans) {
    const std::string_view word =
        std::string_view(words.text).substr(span.begin, span.end - span.begin);
    for (size_t at = 0; at < word.size();) {
      const Trie::Match match = trie_.longest(word, at);
      if (match.id >= 0 || unk_ >= 0) out.push_back(match.id >= 0 ? match.id : unk_);
      at += match.id >= 0 ? match.size : 1;
    }
  }
}

}  // namespace lm
