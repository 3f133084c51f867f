// Reads GGUF v1, v2 and v3 files (one file or a split set): metadata and tensor table as views into
// the mapped bytes. Everything is checked against the file before use; a lying file gives
// Error{bad_file} naming the value. Source: ggml docs/gguf.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/core/mapped_file.h"
#include "engine/core/tensor_view.h"

namespace lm {

// Value types of metadata; the numbers are those in the file.
enum class GgufType : uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12
};

struct GgufValue {
  GgufType type = GgufType::u8;  // type of the value, or of the elements when is_array
  bool is_array = false;
  uint64_t count = 1;        // elements
  uint8_t length_bytes = 8;  // of a string's length: 4 in version 1
  std::span<const std::byte>
      data;  // raw little-endian bytes of the elements (strings: length + bytes each)
};

class GgufFile {
 public:
  // Opens `path`; for "-00001-of-0000N.gguf" opens all parts. Throws not_found, io, bad_file,
  // unsupported.
  static GgufFile open(const std::string& path);
  // Parses bytes that the caller keeps alive (tests, fuzzing); `name` is used in messages.
  static GgufFile parse(std::span<const std::byte> bytes, const std::string& name);

  const GgufValue* find(std::string_view key) const;  // nullptr when absent
  // Typed access. nullopt when the key is absent; bad_file when it has another kind of value.
  std::optional<std::string_view> get_string(std::string_view key) const;
  std::optional<int64_t> get_int(std::string_view key) const;   // any integer type, or boolean
  std::optional<double> get_float(std::string_view key) const;  // any number
  std::optional<bool> get_bool(std::string_view key) const;
  std::vector<std::string_view> get_strings(std::string_view key) const;  // empty when absent
  std::vector<float> get_floats(std::string_view key) const;              // empty when absent
  std::vector<int64_t> get_ints(
      std::string_view key) const;  // array or one scalar; empty when absent

  const std::vector<std::string>& keys() const { return keys_; }  // in file order
  const std::vector<std::string>& tensor_names() const { return tensor_names_; }
  // nullptr when absent. Shape is row-major (GGUF's dims reversed).
  const TensorView* tensor(std::string_view name) const;
  const std::vector<std::shared_ptr<MappedFile>>& files() const { return files_; }
  uint32_t version() const { return version_; }

 private:
  void parse_part(std::span<const std::byte> bytes, const std::string& name, bool first);

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  template <typename T>
  using Map = std::unordered_map<std::string, T, Hash, std::equal_to<>>;

  uint32_t version_ = 0;
  std::string name_;
  std::vector<std::shared_ptr<MappedFile>> files_;
  std::vector<std::string> keys_, tensor_names_;
  Map<GgufValue> values_;
  Map<TensorView> tensors_;
};

}  // namespace lm
