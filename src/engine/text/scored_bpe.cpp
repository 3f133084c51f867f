#include "engine/text/scored_bpe.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <queue>

#include "engine/core/error.h"
#include "engine/text/unicode.h"
#include "engine/text/word_cache.h"

namespace lm {

namespace {

constexpr std::string_view kMetaspace = "\xE2\x96\x81";  // "▁", SentencePiece's visible space
constexpr uint32_t kNone = UINT32_MAX;

// Higher scores to lower ranks, equal scores to equal ranks: the order of floats is that of their
// bits once the sign is dealt with.
uint32_t rank_of_score(float score) {
  if (std::isnan(score)) return kNone - 1;
  if (score == 0) score = 0;  // -0 equals 0
  const auto bits = std::bit_cast<uint32_t>(score);
  return bits & 0x80000000U ? bits : 0x7FFFFFFFU - bits;
}

// Start of the character that ends before `at`.
size_t previous_char(std::string_view text, size_t at) {
  do --at;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80);
  return at;
}

}  // namespace

// A stretch of the word that is one token so far; linked, so that merging removes the right one.
struct ScoredBpe::Symbol {
  uint32_t begin, end;  // begin == end: merged into its left neighbour
  uint32_t previous, next;
};

ScoredBpe::ScoredBpe(const Vocab& vocab, const std::vector<float>& scores,
                     const ScoredBpeOptions& options)
    : vocab_(vocab), options_(options), serial_(WordCache::next_serial()) {
  ranks_.resize(scores.size(), kNone);
  for (size_t i = 0; i < scores.size(); ++i) {
    const TokenKind kind = vocab.kind(static_cast<int32_t>(i));
    if (kind == TokenKind::normal || kind == TokenKind::unused)
      ranks_[i] = rank_of_score(scores[i]);
  }
  for (uint32_t b = 0; b < 256; ++b)
    byte_ids_[b] = options_.byte_fallback ? vocab.find(fmt::format("<0x{:02X}>", b)) : -1;
  if (!options_.bytes) find_crossings();
}

void ScoredBpe::find_crossings() {
  constexpr size_t kMaxCrossings = 256;
  for (size_t i = 0; i < ranks_.size() && crossings_.size() <= kMaxCrossings; ++i) {
    if (ranks_[i] == kNone) continue;
    const std::string_view text = vocab_.text(static_cast<int32_t>(i));
    if (text.size() < 4) continue;
    for (size_t at = text.find(kMetaspace, 1); at != text.npos;
         at = text.find(kMetaspace, at + 3)) {
      const std::string_view before = text.substr(previous_char(text, at), 3);
      if (before != kMetaspace && !crosses(text.substr(0, at)))
        crossings_.push_back(decode_utf8(text, previous_char(text, at)).value);
    }
  }
  cut_before_space_ = crossings_.size() <= kMaxCrossings;
}

bool ScoredBpe::crosses(std::string_view before) const {
  if (crossings_.empty()) return false;
  const char32_t c = decode_utf8(before, previous_char(before, before.size())).value;
  return std::find(crossings_.begin(), crossings_.end(), c) != crossings_.end();
}

void ScoredBpe::encode(const Words& words, std::vector<int32_t>& out) const {
  const std::string_view text = words.text;
  for (const Words::Span span : words.spans)
    encode_stretch(text.substr(span.begin, span.end - span.begin), out);
}

void ScoredBpe::encode_stretch(std::string_view stretch, std::vector<int32_t>& out) const {
  const auto compute = [this](std::string_view word, std::vector<int32_t>& ids) {
    encode_word(word, ids);
  };
  size_t begin = 0;
  for (size_t at = cut_before_space_ ? stretch.find(kMetaspace, 1) : stretch.npos;
       at != stretch.npos; at = stretch.find(kMetaspace, at + 3)) {
    const bool in_run = at >= 3 && stretch.substr(at - 3, 3) == kMetaspace;
    if (in_run || crosses(stretch.substr(0, at))) continue;
    WordCache::encode(stretch.substr(begin, at - begin), serial_, out, compute);
    begin = at;
  }
  if (begin < stretch.size()) WordCache::encode(stretch.substr(begin), serial_, out, compute);
}

uint32_t ScoredBpe::rank_of(std::string_view text) const {
  const int32_t id = vocab_.find(text);
  return id < 0 ? kNone : ranks_[static_cast<size_t>(id)];
}

void ScoredBpe::encode_word(std::string_view word, std::vector<int32_t>& out) const {
  if (options_.whole_words && rank_of(word) != kNone) {
    out.push_back(vocab_.find(word));
    return;
  }
  static thread_local std::vector<Symbol> symbols;
  split_symbols(word, symbols);
  if (symbols.size() > 48) {
    merge_long(word, symbols);
  } else {
    merge_short(word, symbols);
  }
  append_ids(word, symbols, out);
  if (symbols.capacity() > (1 << 16)) std::vector<Symbol>().swap(symbols);
}

void ScoredBpe::split_symbols(std::string_view word, std::vector<Symbol>& symbols) const {
  symbols.clear();
  for (size_t at = 0; at < word.size();) {
    const size_t size = options_.bytes ? 1 : decode_utf8(word, at).size;
    const auto n = static_cast<uint32_t>(symbols.size());
    symbols.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(at + size),
                       n == 0 ? kNone : n - 1, n + 1});
    at += size;
  }
  if (!symbols.empty()) symbols.back().next = kNone;
}

// Repeated search for the best pair: quadratic, but for the few dozen symbols of a word faster than
// a heap.
void ScoredBpe::merge_short(std::string_view word, std::vector<Symbol>& symbols) const {
  size_t n = symbols.size();
  uint32_t rank[48];  // of each symbol with its right neighbour
  const auto pair_rank = [&](size_t i) {
    return rank_of(word.substr(symbols[i].begin, symbols[i + 1].end - symbols[i].begin));
  };
  for (size_t i = 0; i + 1 < n; ++i) rank[i] = pair_rank(i);
  while (n > 1) {
    const auto best = static_cast<size_t>(std::min_element(rank, rank + n - 1) - rank);
    if (rank[best] == kNone) break;
    symbols[best].end = symbols[best + 1].end;
    symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(best) + 1);
    std::copy(rank + best + 1, rank + n - 1, rank + best);
    --n;
    if (best + 1 < n) rank[best] = pair_rank(best);
    if (best > 0) rank[best - 1] = pair_rank(best - 1);
  }
}

// The same result with a heap of candidate pairs over a linked list: n log n for words of any
// length. Leaves empty symbols where one was merged away.
void ScoredBpe::merge_long(std::string_view word, std::vector<Symbol>& symbols) const {
  struct Candidate {
    uint32_t rank, left, end;
    // priority_queue puts the largest on top: invert, so that low ranks and then left positions
    // come first.
    bool operator<(const Candidate& o) const {
      return rank != o.rank ? rank > o.rank : left > o.left;
    }
  };
  std::priority_queue<Candidate> heap;
  const auto offer = [&](uint32_t left) {
    const uint32_t right = symbols[left].next;
    if (right == kNone) return;
    const uint32_t end = symbols[right].end;
    const uint32_t rank = rank_of(word.substr(symbols[left].begin, end - symbols[left].begin));
    if (rank != kNone) heap.push({rank, left, end});
  };
  for (uint32_t i = 0; i + 1 < symbols.size(); ++i) offer(i);
  while (!heap.empty()) {
    const Candidate c = heap.top();
    heap.pop();
    Symbol& left = symbols[c.left];
    // Merged away, or one of the two has grown meanwhile.
    if (left.begin == left.end || left.next == kNone || symbols[left.next].end != c.end) continue;
    Symbol& right = symbols[left.next];
    left.end = right.end;
    left.next = right.next;
    right.begin = right.end;
    if (left.next != kNone) symbols[left.next].previous = c.left;
    offer(c.left);
    if (left.previous != kNone) offer(left.previous);
  }
}

void ScoredBpe::append_ids(std::string_view word, const std::vector<Symbol>& symbols,
                           std::vector<int32_t>& out) const {
  bool in_unknown = false;
  for (const Symbol& s : symbols) {
    if (s.begin == s.end) continue;
    const std::string_view text = word.substr(s.begin, s.end - s.begin);
    const int32_t id = vocab_.find(text);
    if (id >= 0) {
      out.push_back(id);
      in_unknown = false;
      continue;
    }
    const auto has_token = [&](char c) { return byte_ids_[static_cast<uint8_t>(c)] >= 0; };
    if (options_.byte_fallback && std::all_of(text.begin(), text.end(), has_token)) {
      for (const char c : text) out.push_back(byte_ids_[static_cast<uint8_t>(c)]);
      in_unknown = false;
    } else if (options_.unk >= 0 && !in_unknown) {
      out.push_back(options_.unk);
      in_unknown = true;
    }
  }
}

}  // namespace lm
