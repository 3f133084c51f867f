// The two hash tables of the tokenizers: bytes -> 64-bit hash, and (left id, right id) -> merge.
// Open addressing, built once and then read by many threads.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace lm {

// A fast non-cryptographic hash: 8 bytes per multiplication, folded. Hostile vocabularies can at
// worst make lookups slow.
inline uint64_t hash_bytes(std::string_view s) {
  constexpr uint64_t k = 0x9E3779B97F4A7C15;
  const auto mix = [](uint64_t x) {
    x *= k;
    return x ^ x >> 32;
  };
  uint64_t h = s.size() * k;
  const char* p = s.data();
  size_t n = s.size();
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    h = mix(h ^ word);
  }
  if (n > 0) {
    uint64_t word = 0;
    std::memcpy(&word, p, n);
    h = mix(h ^ word);
  }
  return mix(h);
}

// What merging a pair gives: `rank` orders merges (low first), `id` is the merged token.
struct Merge {
  uint32_t rank = UINT32_MAX;
  int32_t id = -1;
};

class MergeTable {
 public:
  void reserve(size_t n) {
    const size_t slots = std::bit_ceil(n * 2 + 2);
    if (slots > slots_.size()) rehash(slots);
  }
  // The first insertion of a pair stays unless the new one has a lower rank.
  void insert(int32_t left, int32_t right, Merge merge) {
    reserve(count_ + 1);
    Slot& slot = slots_[find_slot(key(left, right))];
    if (slot.key == kEmpty) {
      slot = {key(left, right), merge};
      ++count_;
    } else if (merge.rank < slot.merge.rank) {
      slot.merge = merge;
    }
  }
  // rank UINT32_MAX when the pair does not merge.
  Merge find(int32_t left, int32_t right) const {
    if (slots_.empty()) return {};
    const Slot& slot = slots_[find_slot(key(left, right))];
    return slot.key == kEmpty ? Merge{} : slot.merge;
  }
  size_t size() const { return count_; }
  void prefetch(int32_t left, int32_t right) const {
    if (!slots_.empty()) __builtin_prefetch(&slots_[hash(key(left, right)) & (slots_.size() - 1)]);
  }
  template <typename F>
  void for_each(F&& f) const {
    for (const Slot& s : slots_) {
      if (s.key != kEmpty)
        f(static_cast<int32_t>(s.key >> 32), static_cast<int32_t>(s.key & 0xFFFFFFFF), s.merge);
    }
  }

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;  // ids are non-negative, so no pair has this key
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };
  static uint64_t key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  static uint64_t hash(uint64_t k) {
    const uint64_t h = k * 0x9E3779B97F4A7C15;
    return h ^ h >> 29;
  }
  size_t find_slot(uint64_t k) const {
    const size_t mask = slots_.size() - 1;
    for (size_t i = hash(k) & mask;; i = (i + 1) & mask) {
      if (slots_[i].key == k || slots_[i].key == kEmpty) return i;
    }
  }
  void rehash(size_t slots) {
    std::vector<Slot> old(slots);
    old.swap(slots_);
    for (const Slot& s : old) {
      if (s.key != kEmpty) slots_[find_slot(s.key)] = s;
    }
  }
  std::vector<Slot> slots_;
  size_t count_ = 0;
};

}  // namespace lm
