// CRC-32 of ISO 3309 (zip, gzip, PNG): polynomial 0xedb88320, reflected.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace lm {

// crc: the result for the bytes before, to go on with.
inline uint32_t crc32(std::span<const std::byte> bytes, uint32_t crc = 0) {
  static constexpr auto kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ (c & 1 ? 0xedb88320u : 0u);
      table[i] = c;
    }
    return table;
  }();
  crc = ~crc;
  for (const std::byte b : bytes) crc = kTable[(crc ^ static_cast<uint32_t>(b)) & 255] ^ (crc >> 8);
  return ~crc;
}

}  // namespace lm
