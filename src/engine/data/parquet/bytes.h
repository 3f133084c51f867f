// Bytes of a Parquet file, read from front to back. Internal to parquet.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "engine/core/error.h"

namespace lm::parquet {

[[noreturn]] inline void damaged(const char* what) {
  raise(ErrorCode::bad_file, "damaged Parquet data: {}", what);
}

class Bytes {
 public:
  explicit Bytes(std::span<const std::byte> bytes) : bytes_(bytes) {}
  size_t left() const { return bytes_.size() - at_; }
  size_t used() const { return at_; }
  std::span<const std::byte> take(uint64_t n) {
    if (n > left()) damaged("it ends early");
    at_ += n;
    return bytes_.subspan(at_ - n, n);
  }
  std::string_view text(uint64_t n) {
    const auto part = take(n);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  uint8_t byte() { return static_cast<uint8_t>(take(1)[0]); }
  template <typename T>
  T fixed() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t b = byte();
      value |= static_cast<uint64_t>(b & 127) << shift;
      if (b < 128) return value;
    }
    damaged("a number has too many bytes");
  }
  int64_t zigzag() {
    const uint64_t v = varint();
    return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1);
  }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

}  // namespace lm::parquet
