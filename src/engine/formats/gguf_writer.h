// Writes GGUF v3 files, whole or split, streaming: only one piece of one tensor is in memory at a
// time. Source: ggml docs/gguf.md.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/formats/gguf.h"
#include "engine/formats/tensor_output.h"

namespace lm {

// Metadata to write: keys in order, each with a typed value. Setting a key again replaces its value
// in place.
class GgufMetadata {
 public:
  void set_string(std::string_view key, std::string_view value);
  void set_u32(std::string_view key, uint64_t value);  // internal error above 2^32 - 1
  void set_i32(std::string_view key, int64_t value);
  void set_u16(std::string_view key, uint16_t value);
  void set_f32(std::string_view key, double value);
  void set_bool(std::string_view key, bool value);
  void set_strings(std::string_view key, std::span<const std::string> values);
  void set_floats(std::string_view key, std::span<const float> values);
  void set_i32s(std::string_view key, std::span<const int32_t> values);
  void set_u8s(std::string_view key, std::string_view values);
  void set_bools(std::string_view key, const std::vector<bool>& values);
  // One value of a file as it is, every type of the format.
  void copy(std::string_view key, const GgufValue& value);
  void copy_all(const GgufFile& file);
  void erase(std::string_view key);
  bool contains(std::string_view key) const;
  size_t size() const { return entries_.size(); }
  // Everything as it is in a file: key, type, value for each.
  std::string bytes() const;

 private:
  struct Entry {
    std::string key, value;  // value: type and bytes
  };
  void set(std::string_view key, std::string value);
  std::vector<Entry> entries_;
};

// The metadata as a file without tensors.
std::shared_ptr<const GgufFile> metadata_file(const GgufMetadata& metadata);

struct GgufWriteOptions : WriteOptions {
  uint64_t alignment = 32;  // a power of two; written as general.alignment when it is not 32
};

// Writes `path`, or, when the tensors exceed max_file_bytes, path-00001-of-0000N.gguf and so on
// (the name without ".gguf"), and returns the names. Tensors have 1..4 dimensions. Files get their
// names when all of them are complete. Throws bad_option (tensor names that appear twice or exceed
// 63 bytes, types that GGUF has no number for), io, and what write() throws.
std::vector<std::string> write_gguf(const std::string& path, const GgufMetadata& metadata,
                                    const std::vector<OutputTensor>& tensors,
                                    const GgufWriteOptions& options = {});

}  // namespace lm
