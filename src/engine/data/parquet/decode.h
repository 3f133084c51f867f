// The encodings of Parquet's pages (Encodings.md) and its codecs. Internal to parquet.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "engine/data/parquet/bytes.h"
#include "engine/data/parquet/schema.h"

namespace lm::parquet {

// One value of a column; nothing for a gap.
using Cell = std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string>;

// Of a page or a row at most.
constexpr size_t kMostBytes = size_t{1} << 28;

// Encoding numbers of parquet.thrift.
enum class Encoding : uint8_t {
  plain = 0,
  plain_dictionary = 2,
  rle = 3,
  delta_binary = 5,
  delta_length = 6,
  delta_bytes = 7,
  rle_dictionary = 8,
};

// `n` numbers of `width` bits (0..32) in runs and packed groups. Throws bad_file.
std::vector<uint32_t> decode_runs(Bytes& in, int width, size_t n);
// `n` values of a column. Throws bad_file, unsupported.
std::vector<Cell> decode_values(Bytes& in, Encoding encoding, const Node& leaf, size_t n);
// Unpacks by a codec number of parquet.thrift. Throws bad_file, unsupported.
std::vector<std::byte> unpack(int codec, std::span<const std::byte> packed, size_t size);

}  // namespace lm::parquet
