// A set of bytes, as a value.
#pragma once

#include <array>
#include <cstdint>

namespace lm {

struct ByteSet {
  std::array<uint64_t, 4> words{};

  static ByteSet range(uint8_t first, uint8_t last) {
    ByteSet s;
    for (uint32_t b = first; b <= last; ++b) s.add(static_cast<uint8_t>(b));
    return s;
  }
  static ByteSet one(uint8_t b) { return range(b, b); }
  void add(uint8_t b) { words[b >> 6] |= uint64_t{1} << (b & 63); }
  void remove(uint8_t b) { words[b >> 6] &= ~(uint64_t{1} << (b & 63)); }
  bool has(uint8_t b) const { return (words[b >> 6] >> (b & 63) & 1) != 0; }
  bool empty() const { return (words[0] | words[1] | words[2] | words[3]) == 0; }
  int count() const {
    int n = 0;
    for (const uint64_t w : words) n += __builtin_popcountll(w);
    return n;
  }
  template <typename F>
  void each(F&& f) const {
    for (uint32_t i = 0; i < 4; ++i)
      for (uint64_t w = words[i]; w != 0; w &= w - 1)
        f(static_cast<uint8_t>(i * 64 + static_cast<uint32_t>(__builtin_ctzll(w))));
  }
  // The smallest member; the set must not be empty.
  uint8_t first() const {
    for (uint32_t i = 0; i < 4; ++i)
      if (words[i] != 0)
        return static_cast<uint8_t>(i * 64 + static_cast<uint32_t>(__builtin_ctzll(words[i])));
    return 0;
  }
  ByteSet& operator|=(const ByteSet& o) {
    for (size_t i = 0; i < 4; ++i) words[i] |= o.words[i];
    return *this;
  }
  ByteSet& operator&=(const ByteSet& o) {
    for (size_t i = 0; i < 4; ++i) words[i] &= o.words[i];
    return *this;
  }
  ByteSet operator~() const {
    ByteSet s;
    for (size_t i = 0; i < 4; ++i) s.words[i] = ~words[i];
    return s;
  }
  bool operator==(const ByteSet& o) const { return words == o.words; }
};

}  // namespace lm
