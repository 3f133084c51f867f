#include "engine/text/bpe.h"

#include <algorithm>
#include <queue>

#include "engine/core/error.h"
#include "engine/text/unicode.h"
#include "engine/text/word_cache.h"

namespace lm {

namespace {

constexpr std::string_view kMetaspace = "\xE2\x96\x81";  // "▁", SentencePiece's visible space

}  // namespace

Bpe::Bpe(const Vocab& vocab, MergeTable merges, const BpeOptions& options)
    : vocab_(vocab),
      merges_(std::move(merges)),
      options_(options),
      serial_(WordCache::next_serial()) {
  for (uint32_t b = 0; b < 256; ++b) {
    std::string text;
    if (options_.byte_level) {
      append_utf8(text, byte_level_char(static_cast<uint8_t>(b)));
    } else if (options_.byte_fallback) {
      text = fmt::format("<0x{:02X}>", b);
    }
    byte_ids_[b] = text.empty() ? -1 : vocab_.find(text);
  }
  for (uint32_t c = 0; c < 128; ++c) {
    const char ch = static_cast<char>(c);
    ascii_ids_[c] = vocab_.find({&ch, 1});
  }
  has_affixes_ = !options_.continuing_prefix.empty() || !options_.end_of_word_suffix.empty();
  split_before_space_ = !has_affixes_ && !options_.byte_level && splits_before_space();
}

// A merge can cross "x▁" only if some merged token contains that; without such tokens a text may be
// cut there, which makes words short and the word cache useful although SentencePiece models have
// no pre-tokenizer.
bool Bpe::splits_before_space() const {
  bool crosses = false;
  merges_.for_each([&](int32_t, int32_t, Merge m) {
    if (crosses) return;
    const std::string_view text = vocab_.text(m.id);
    for (size_t at = text.find(kMetaspace); at != text.npos; at = text.find(kMetaspace, at + 1)) {
      if (at > 0 && (at < 3 || text.substr(at - 3, 3) != kMetaspace)) crosses = true;
    }
  });
  return !crosses;
}

void Bpe::encode(const Words& words, std::vector<int32_t>& out) const {
  const std::string_view text = words.text;
  for (const Words::Span span : words.spans) {
    const std::string_view word = text.substr(span.begin, span.end - span.begin);
    if (!split_before_space_) {
      encode_word(word, out);
      continue;
    }
    size_t begin = 0;
    for (size_t at = word.find(kMetaspace, 1); at != word.npos;
         at = word.find(kMetaspace, at + 3)) {
      if (at >= 3 && word.substr(at - 3, 3) == kMetaspace) continue;
      encode_word(word.substr(begin, at - begin), out);
      begin = at;
    }
    encode_word(word.substr(begin), out);
  }
}

int32_t Bpe::whole_word(std::string_view word) const {
  if (!options_.byte_level) return vocab_.find(word);
  std::string text;
  for (const char c : word) append_utf8(text, byte_level_char(static_cast<uint8_t>(c)));
  return vocab_.find(text);
}

void Bpe::encode_word(std::string_view word, std::vector<int32_t>& out) const {
  if (word.empty()) return;
  WordCache::encode(word, serial_, out, [this](std::string_view w, std::vector<int32_t>& ids) {
    const int32_t whole = options_.ignore_merges ? whole_word(w) : -1;
    if (whole >= 0) {
      ids.push_back(whole);
      return;
    }
    const size_t begin = ids.size();
    initial_tokens(w, ids);
    if (ids.size() - begin > 48) {
      merge_long(ids, begin);
    } else {
      merge_short(ids, begin);
    }
  });
}

void Bpe::initial_tokens(std::string_view word, std::vector<int32_t>& out) const {
  bool in_unknown = false;
  for (size_t i = 0; i < word.size();) {
    size_t size = 1;
    int32_t id;
    const auto byte = static_cast<uint8_t>(word[i]);
    if (has_affixes_) {
      if (!options_.byte_level) size = decode_utf8(word, i).size;
      id = affixed_token(word.substr(i, size), i == 0, i + size == word.size());
    } else if (options_.byte_level) {
      id = byte_ids_[byte];
    } else if (byte < 128) {
      id = ascii_ids_[byte];
    } else {
      size = decode_utf8(word, i).size;
      id = vocab_.find(word.substr(i, size));
    }
    if (id >= 0) {
      out.push_back(id);
      in_unknown = false;
    } else {
      append_unknown(word.substr(i, size), out, in_unknown);
    }
    i += size;
  }
}

int32_t Bpe::affixed_token(std::string_view character, bool first, bool last) const {
  std::string text = first ? "" : options_.continuing_prefix;
  if (options_.byte_level) {
    append_utf8(text, byte_level_char(static_cast<uint8_t>(character[0])));
  } else {
    text += character;
  }
  if (last) text += options_.end_of_word_suffix;
  return vocab_.find(text);
}

void Bpe::append_unknown(std::string_view bytes, std::vector<int32_t>& out,
                         bool& in_unknown) const {
  if (options_.byte_fallback && !options_.byte_level) {
    const bool all = std::all_of(bytes.begin(), bytes.end(),
                                 [&](char c) { return byte_ids_[static_cast<uint8_t>(c)] >= 0; });
    if (all) {
      for (const char c : bytes) out.push_back(byte_ids_[static_cast<uint8_t>(c)]);
      in_unknown = false;
      return;
    }
  }
  if (options_.unk < 0 || (in_unknown && options_.fuse_unk)) return;
  out.push_back(options_.unk);
  in_unknown = true;
}

// Repeated search for the best pair: quadratic, but for the few dozen symbols of a word faster than
// a heap.
void Bpe::merge_short(std::vector<int32_t>& ids, size_t begin) const {
  int32_t* id = ids.data() + begin;
  size_t n = ids.size() - begin;
  Merge merge[48];
  for (size_t i = 0; i + 1 < n; ++i) merge[i] = merges_.find(id[i], id[i + 1]);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (merge[i].rank < merge[best].rank) best = i;
    }
    if (merge[best].rank == UINT32_MAX) break;
    id[best] = merge[best].id;
    std::copy(id + best + 2, id + n, id + best + 1);
    --n;
    if (best + 1 < n) {
      std::copy(merge + best + 2, merge + n, merge + best + 1);
      merge[best] = merges_.find(id[best], id[best + 1]);
    }
    if (best > 0) merge[best - 1] = merges_.find(id[best - 1], id[best]);
  }
  ids.resize(begin + n);
}

// The same result with a heap of candidate pairs over a linked list: n log n for words of any
// length.
void Bpe::merge_long(std::vector<int32_t>& ids, size_t begin) const {
  struct Node {
    int32_t id;
    uint32_t previous, next;
  };
  struct Candidate {
    uint32_t rank, left;
    int32_t left_id, right_id, merged;
    // priority_queue puts the largest on top: invert, so that low ranks and then left positions
    // come first.
    bool operator<(const Candidate& o) const {
      return rank != o.rank ? rank > o.rank : left > o.left;
    }
  };
  constexpr uint32_t kNone = UINT32_MAX;
  const auto n = static_cast<uint32_t>(ids.size() - begin);
  std::vector<Node> nodes(n);
  for (uint32_t i = 0; i < n; ++i)
    nodes[i] = {ids[begin + i], i == 0 ? kNone : i - 1, i + 1 == n ? kNone : i + 1};
  std::vector<Candidate> storage;
  storage.reserve(n);
  std::priority_queue<Candidate> heap(std::less<Candidate>{}, std::move(storage));
  const auto offer = [&](uint32_t left) {
    const uint32_t right = nodes[left].next;
    if (right == kNone) return;
    const Merge m = merges_.find(nodes[left].id, nodes[right].id);
    if (m.rank != UINT32_MAX) heap.push({m.rank, left, nodes[left].id, nodes[right].id, m.id});
  };
  for (uint32_t i = 0; i + 1 < n; ++i) offer(i);
  while (!heap.empty()) {
    const Candidate c = heap.top();
    heap.pop();
    Node& left = nodes[c.left];
    // A consumed node has id -1, a changed one another id: such candidates are out of date.
    if (left.id != c.left_id || left.next == kNone || nodes[left.next].id != c.right_id) continue;
    Node& right = nodes[left.next];
    left.id = c.merged;
    right.id = -1;
    left.next = right.next;
    if (left.next != kNone) nodes[left.next].previous = c.left;
    offer(c.left);
    if (left.previous != kNone) offer(left.previous);
  }
  size_t out = begin;
  for (uint32_t i = 0; i != kNone; i = nodes[i].next) ids[out++] = nodes[i].id;
  ids.resize(out);
}

}  // namespace lm
