#include "engine/text/vocab.h"

#include <algorithm>
#include <bit>

#include "engine/core/error.h"
#include "engine/text/hash_tables.h"

namespace lm {

void Vocab::reserve(size_t n_tokens, size_t text_bytes) {
  buffer_.reserve(text_bytes);
  texts_.reserve(n_tokens);
  kinds_.reserve(n_tokens);
  const size_t slots = std::bit_ceil(n_tokens * 2 + 2);
  if (slots > slots_.size()) rehash(slots);
}

Vocab::Span Vocab::store(std::string_view text) {
  LM_CHECK(buffer_.size() + text.size() < UINT32_MAX, ErrorCode::bad_file,
           "tokenizer: the texts of the vocabulary have more than {} bytes; expected fewer",
           UINT32_MAX);
  const Span span{static_cast<uint32_t>(buffer_.size()), static_cast<uint32_t>(text.size())};
  buffer_.append(text);
  return span;
}

int32_t Vocab::add(std::string_view text, TokenKind kind) {
  LM_CHECK(size() < kMaxTokens, ErrorCode::bad_file,
           "tokenizer: more than {} tokens; expected fewer", kMaxTokens);
  texts_.push_back(store(text));
  kinds_.push_back(kind);
  index(size() - 1);
  return size() - 1;
}

void Vocab::pad_to(int32_t n) {
  LM_CHECK(n <= kMaxTokens, ErrorCode::bad_file, "tokenizer: token id {}; expected ids below {}",
           n - 1, kMaxTokens);
  while (size() < n) {
    texts_.push_back({});
    kinds_.push_back(TokenKind::unused);
  }
}

void Vocab::fill(int32_t id, std::string_view text, TokenKind kind) {
  texts_[static_cast<size_t>(id)] = store(text);
  kinds_[static_cast<size_t>(id)] = kind;
  index(id);
}

void Vocab::index(int32_t id) {
  const std::string_view text = view(texts_[static_cast<size_t>(id)]);
  if (slots_.size() < (indexed_ + 1) * 2) rehash(std::bit_ceil((indexed_ + 1) * 2 + 2));
  const uint64_t h = hash_bytes(text);
  const size_t mask = slots_.size() - 1;
  for (size_t i = h & mask;; i = (i + 1) & mask) {
    Slot& slot = slots_[i];
    if (slot.id < 0) {
      slot = {static_cast<uint32_t>(h >> 32), id};
      ++indexed_;
      return;
    }
    if (slot.hash == h >> 32 && this->text(slot.id) == text) return;
  }
}

void Vocab::rehash(size_t slots) {
  std::vector<Slot> old(slots);
  old.swap(slots_);
  const size_t mask = slots - 1;
  for (const Slot& s : old) {
    if (s.id < 0) continue;
    size_t i = hash_bytes(text(s.id)) & mask;
    while (slots_[i].id >= 0) i = (i + 1) & mask;
    slots_[i] = s;
  }
}

int32_t Vocab::find(std::string_view text) const {
  return slots_.empty() ? -1 : find_hashed(text, hash_bytes(text));
}

int32_t Vocab::find_hashed(std::string_view text, uint64_t h) const {
  const size_t mask = slots_.size() - 1;
  for (size_t i = h & mask;; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.id < 0) return -1;
    if (slot.hash == h >> 32 && this->text(slot.id) == text) return slot.id;
  }
}

void Vocab::find_many(std::span<const std::string_view> texts, int32_t* ids) const {
  constexpr size_t kBatch = 32;
  uint64_t hashes[kBatch];
  const size_t mask = slots_.size() - 1;
  for (size_t begin = 0; begin < texts.size(); begin += kBatch) {
    const size_t n = std::min(kBatch, texts.size() - begin);
    if (slots_.empty()) {
      std::fill_n(ids + begin, n, -1);
      continue;
    }
    for (size_t i = 0; i < n; ++i) {
      hashes[i] = hash_bytes(texts[begin + i]);
      __builtin_prefetch(&slots_[hashes[i] & mask]);
    }
    // What is in the first slot is nearly always the answer: fetch its text before comparing.
    const auto first = [&](size_t i) {
      return static_cast<size_t>(std::max(slots_[hashes[i] & mask].id, 0));
    };
    for (size_t i = 0; i < n; ++i) __builtin_prefetch(&texts_[first(i)]);
    for (size_t i = 0; i < n; ++i) __builtin_prefetch(buffer_.data() + texts_[first(i)].begin);
    for (size_t i = 0; i < n; ++i) ids[begin + i] = find_hashed(texts[begin + i], hashes[i]);
  }
}

}  // namespace lm
