// Values in Thrift's compact protocol, in which Parquet writes its headers. Source:
// apache/thrift, doc/specs/thrift-compact-protocol.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lm::parquet {

struct Value {
  int64_t number = 0;  // of whole numbers and booleans; those with a point are not kept
  std::string_view text;
  std::vector<Value> list;   // elements, or the fields of a struct
  std::vector<int16_t> ids;  // of the fields

  const Value* find(int16_t id) const;
  // Of a field that must be there. Throws bad_file.
  const Value& at(int16_t id) const;
  int64_t number_or(int16_t id, int64_t fallback) const;
};

// Reads one struct from the beginning of `bytes`; *used: how many it takes. Texts point into
// `bytes`. Throws bad_file.
Value read_struct(std::span<const std::byte> bytes, size_t* used);

}  // namespace lm::parquet
