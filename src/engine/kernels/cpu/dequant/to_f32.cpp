#include "engine/kernels/cpu/to_f32.h"

#include "engine/core/error.h"
#include "engine/kernels/cpu/dequant/blocks.h"
#include "engine/kernels/cpu/dequant/plain.h"

namespace lm {

BlockDecoder block_decoder(DType type) {
  switch (type) {
#define LM_BLOCK_TYPE(name) \
  case DType::name:         \
    return decode_##name;
#include "engine/kernels/cpu/dequant/block_list.inc"
#undef LM_BLOCK_TYPE
    default:
      return nullptr;
  }
}

bool to_f32_supported(DType type) {
  return is_plain_float(type) || block_decoder(type) != nullptr;
}

void check_to_f32(DType type) {
  LM_CHECK(
      to_f32_supported(type), ErrorCode::unsupported,
      "weights of type {} cannot be computed with; floating-point types and the block types of "
      "GGUF can",
      dtype_name(type));
}

void to_f32(const TensorView& view, int64_t offset, int64_t n, float* out) {
  check_to_f32(view.dtype);
  const DTypeInfo& info = dtype_info(view.dtype);
  const std::byte* p = view.data + offset / info.block * info.block_bytes;
  if (plain_to_f32(view.dtype, p, n, out)) return;
  const BlockDecoder decode = block_decoder(view.dtype);
  const auto* block = reinterpret_cast<const uint8_t*>(p);
  for (int64_t i = 0; i < n; i += info.block, block += info.block_bytes) decode(block, out + i);
}

}  // namespace lm
