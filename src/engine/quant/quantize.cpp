#include "engine/quant/quantize.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/core/error.h"
#include "engine/core/half.h"
#include "engine/kernels/cpu/to_f32.h"
#include "engine/quant/encode/encode.h"

namespace lm {

BlockEncoder block_encoder(DType type) {
  switch (type) {
#define LM_ENCODE_TYPE(name) \
  case DType::name:          \
    return encode_##name;
#include "engine/quant/encode/encode_list.inc"
#undef LM_ENCODE_TYPE
    default:
      return nullptr;
  }
}

bool quantize_supported(DType type) {
  return type == DType::f32 || type == DType::f16 || type == DType::bf16 ||
         block_encoder(type) != nullptr;
}

std::vector<DType> quantize_types() {
  return {
      DType::f32,
      DType::f16,
      DType::bf16,
#define LM_ENCODE_TYPE(name) DType::name,
#include "engine/quant/encode/encode_list.inc"
#undef LM_ENCODE_TYPE
  };
}

namespace {

template <typename Convert>
void store_u16(const float* x, int64_t n, std::byte* out, Convert convert) {
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t h = convert(x[i]);
    std::memcpy(out + 2 * i, &h, 2);
  }
}

}  // namespace

void quantize(DType type, const float* x, int64_t n, std::byte* out) {
  if (type == DType::f32) return void(std::memcpy(out, x, static_cast<size_t>(n) * 4));
  if (type == DType::f16) return store_u16(x, n, out, float_to_half);
  if (type == DType::bf16) return store_u16(x, n, out, float_to_bf16);
  const DTypeInfo& info = dtype_info(type);
  const BlockEncoder encode = block_encoder(type);
  auto* block = reinterpret_cast<uint8_t*>(out);
  for (int64_t i = 0; i < n; i += info.block, block += info.block_bytes) encode(x + i, block);
}

std::vector<std::byte> convert_rows(const TensorView& view, const std::string& name, DType type,
                                    int64_t first, int64_t last, ThreadPool& pool) {
  const int64_t cols = view.cols(), row_bytes = dtype_bytes(type, cols);
  LM_CHECK(cols % dtype_info(type).block == 0, ErrorCode::bad_shape,
           "tensor \"{}\" has rows of {} elements; type {} needs a multiple of {}", name, cols,
           dtype_name(type), dtype_info(type).block);
  check_to_f32(view.dtype);
  LM_CHECK(quantize_supported(type), ErrorCode::unsupported,
           "weights cannot be quantised to {}; f32, f16, bf16 and the block types with an encoder "
           "can be written",
           dtype_name(type));
  std::vector<std::byte> out(static_cast<size_t>((last - first) * row_bytes));
  if (view.dtype == type) {
    std::memcpy(out.data(), view.data + first * row_bytes, out.size());
    return out;
  }
  // The largest magnitude the type can hold; block types need finite weights to choose scales.
  const float limit = type == DType::f16 ? 65519.0f : std::numeric_limits<float>::max();
  const bool any_value = type == DType::f32 || type == DType::bf16;
  std::atomic<bool> fits = true;
  // Shares of about 64 KiB of floats: enough work for a thread, small enough for its cache.
  const int64_t share = std::max<int64_t>(1, 16384 / std::max<int64_t>(cols, 1));
  pool.run([&](Region& region) {
    region.share(last - first, share, [&](int64_t begin, int64_t end) {
      std::vector<float> x(static_cast<size_t>(cols));
      for (int64_t r = begin; r < end; ++r) {
        to_f32(view, (first + r) * cols, cols, x.data());
        if (any_value ||
            std::all_of(x.begin(), x.end(), [&](float v) { return std::fabs(v) <= limit; }))
          quantize(type, x.data(), cols, out.data() + r * row_bytes);
        else
          fits = false;
      }
    });
  });
  LM_CHECK(fits, ErrorCode::bad_file,
           "tensor \"{}\" holds a weight that {} cannot hold: beyond {}, infinite or not a number",
           name, dtype_name(type), limit);
  return out;
}

}  // namespace lm
