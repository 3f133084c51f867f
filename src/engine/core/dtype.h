// Element types of tensors and their storage: plain numbers and the block-quantized types of GGUF.
#pragma once

#include <cstdint>
#include <string_view>

namespace lm {

// Names are append-only: they are written into files and reports. Order is ours; GGUF ids are in
// dtype_info().
enum class DType : uint8_t {
#define LM_DTYPE(name, block, bytes, ggml) name,
#include "engine/core/dtype_list.inc"
#undef LM_DTYPE
};

struct DTypeInfo {
  const char* name;  // "f32", "q4_0", ...
  int block;         // elements in one block (1 for plain numbers)
  int block_bytes;   // bytes of one block
  int ggml_id;       // type number in a GGUF file, -1 when GGUF has none
};

const DTypeInfo& dtype_info(DType type);
int n_dtypes();  // types are 0 .. n_dtypes() - 1
inline const char* dtype_name(DType type) {
  return dtype_info(type).name;
}
// The type with this GGUF number; nullptr-like false when unknown or removed.
bool dtype_from_ggml(uint32_t id, DType* out);
// The type with this lower-case name; false when unknown.
bool dtype_from_name(std::string_view name, DType* out);
// Bytes of n elements; n must be a multiple of the block size.
inline int64_t dtype_bytes(DType type, int64_t n) {
  const DTypeInfo& info = dtype_info(type);
  return n / info.block * info.block_bytes;
}
inline bool is_quantized(DType type) {
  return dtype_info(type).block > 1;
}

}  // namespace lm
