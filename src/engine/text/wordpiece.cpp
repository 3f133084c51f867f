#include "engine/text/wordpiece.h"

#include "engine/text/unicode.h"
#include "engine/text/word_cache.h"

namespace lm {

namespace {

Trie tokens_with_prefix(const Vocab& vocab, std::string_view prefix) {
  std::vector<Trie::Entry> entries;
  for (int32_t id = 0; id < vocab.size(); ++id) {
    const std::string_view text = vocab.text(id);
    if (text.starts_with(prefix)) entries.push_back({text.substr(prefix.size()), id});
  }
  return Trie(std::move(entries));
}

size_t count_chars(std::string_view word) {
  size_t n = 0;
  for (size_t i = 0; i < word.size(); ++n) i += decode_utf8(word, i).size;
  return n;
}

}  // namespace

WordPiece::WordPiece(const Vocab& vocab, const WordPieceOptions& options)
    : options_(options),
      first_(tokens_with_prefix(vocab, options.first_prefix)),
      continuing_(tokens_with_prefix(vocab, options.continuing_prefix)),
      serial_(WordCache::next_serial()) {}

void WordPiece::encode(const Words& words, std::vector<int32_t>& out) const {
  const std::string_view text = words.text;
  for (const Words::Span span : words.spans) {
    WordCache::encode(text.substr(span.begin, span.end - span.begin), serial_, out,
                      [this](std::string_view word, std::vector<int32_t>& ids) {
                        if (!word.empty()) encode_word(word, ids);
                      });
  }
}

void WordPiece::encode_word(std::string_view word, std::vector<int32_t>& out) const {
  const size_t begin = out.size();
  bool known = word.size() <= options_.max_chars_per_word ||
               count_chars(word) <= options_.max_chars_per_word;
  for (size_t at = 0; known && at < word.size();) {
    const Trie::Match match = (at == 0 ? first_ : continuing_).longest(word, at);
    known = match.id >= 0;
    if (known) out.push_back(match.id);
    at += match.size;
  }
  if (known) return;
  out.resize(begin);
  if (options_.unk >= 0) out.push_back(options_.unk);
}

}  // namespace lm
