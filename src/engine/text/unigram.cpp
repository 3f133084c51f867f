#include "engine/text/unigram.h"

#include <algorithm>

#include "engine/core/error.h"
#include "engine/text/unicode.h"
#include "engine/text/word_cache.h"

namespace lm {

namespace {

Trie token_trie(const Vocab& vocab, const std::vector<bool>& takes_part) {
  std::vector<Trie::Entry> entries;
  entries.reserve(takes_part.size());
  for (int32_t id = 0; id < vocab.size(); ++id) {
    if (takes_part[static_cast<size_t>(id)]) entries.push_back({vocab.text(id), id});
  }
  return Trie(std::move(entries));
}

// The best way to reach a position: the token that ends there and where it begins.
struct Arc {
  double score = 0;
  uint32_t begin = UINT32_MAX;  // UINT32_MAX: not reached
  int32_t id = -1;              // -1: an unknown character
};

}  // namespace

Unigram::Unigram(const Vocab& vocab, std::vector<double> scores,
                 const std::vector<bool>& takes_part, const UnigramOptions& options)
    : scores_(std::move(scores)),
      options_(options),
      trie_(token_trie(vocab, takes_part)),
      serial_(WordCache::next_serial()) {
  for (uint32_t b = 0; b < 256; ++b)
    byte_ids_[b] = options_.byte_fallback ? vocab.find(fmt::format("<0x{:02X}>", b)) : -1;
}

void Unigram::encode(const Words& words, std::vector<int32_t>& out) const {
  const std::string_view text = words.text;
  for (const Words::Span span : words.spans) {
    WordCache::encode(text.substr(span.begin, span.end - span.begin), serial_, out,
                      [this](std::string_view word, std::vector<int32_t>& ids) {
                        if (!word.empty()) encode_word(word, ids);
                      });
  }
}

void Unigram::encode_word(std::string_view word, std::vector<int32_t>& out) const {
  static thread_local std::vector<Arc> best;
  best.assign(word.size() + 1, Arc{});
  best[0].begin = 0;
  for (size_t at = 0; at < word.size();) {
    const double here = best[at].score;
    const size_t char_size = decode_utf8(word, at).size;
    bool covers_char = false;
    const auto offer = [&](size_t end, double score, int32_t id) {
      score += here;
      Arc& arc = best[end];
      if (arc.begin != UINT32_MAX && score <= arc.score) return;
      // SentencePiece compares in double precision and keeps the sum in single precision.
      if (options_.single_precision) score = static_cast<float>(score);
      arc = {score, static_cast<uint32_t>(at), id};
    };
    trie_.prefixes(word, at, [&](size_t size, int32_t id) {
      offer(at + size, scores_[static_cast<size_t>(id)], id);
      covers_char = covers_char || size == char_size;
    });
    if (!covers_char) offer(at + char_size, options_.unk_score, -1);
    at += char_size;
  }
  // Backwards along the best arcs, then forwards, joining runs of unknown characters.
  static thread_local std::vector<Arc> path;
  path.clear();
  for (size_t end = word.size(); end > 0; end = best[end].begin) {
    path.push_back(best[end]);
    path.back().score = static_cast<double>(end);
  }
  for (size_t i = path.size(); i-- > 0;) {
    if (path[i].id >= 0) {
      out.push_back(path[i].id);
      continue;
    }
    const size_t begin = path[i].begin;
    while (i > 0 && path[i - 1].id < 0) --i;
    append_unknown(word.substr(begin, static_cast<size_t>(path[i].score) - begin), out);
  }
  if (best.capacity() > (1 << 16)) std::vector<Arc>().swap(best);
}

void Unigram::append_unknown(std::string_view bytes, std::vector<int32_t>& out) const {
  const auto has_token = [&](char c) { return byte_ids_[static_cast<uint8_t>(c)] >= 0; };
  if (options_.byte_fallback && std::all_of(bytes.begin(), bytes.end(), has_token)) {
    for (const char c : bytes) out.push_back(byte_ids_[static_cast<uint8_t>(c)]);
  } else if (options_.unk >= 0) {
    out.push_back(options_.unk);
  }
}

}  // namespace lm
