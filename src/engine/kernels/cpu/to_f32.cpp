// Dequantisation, exactly as the formats define it. Source: block formats of GGUF (ggml-common.h),
// value = formula below.
#include <cstring>

#include "engine/core/error.h"
#include "engine/core/half.h"
#include "engine/kernels/cpu/panels.h"

namespace lm {
namespace {

uint16_t u16_at(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, 2);
  return v;
}
uint32_t u32_at(const uint8_t* p) {
  uint32_t v;
  std::memcpy(&v, p, 4);
  return v;
}

// x = d * (q - 8)
void q4_0_block(const uint8_t* b, float* out) {
  const float d = half_to_float(u16_at(b));
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((b[2 + i] & 15) - 8);
    out[i + 16] = d * static_cast<float>((b[2 + i] >> 4) - 8);
  }
}

// x = d * q + m
void q4_1_block(const uint8_t* b, float* out) {
  const float d = half_to_float(u16_at(b)), m = half_to_float(u16_at(b + 2));
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(b[4 + i] & 15) + m;
    out[i + 16] = d * static_cast<float>(b[4 + i] >> 4) + m;
  }
}

// The fifth bit of element i is bit i of a 32-bit word. q5_0: x = d * (q - 16); q5_1: x = d * q +
// m.
void q5_block(const uint8_t* nibbles, uint32_t high, float d, float m, int offset, float* out) {
  for (int i = 0; i < 16; ++i) {
    const int lo = static_cast<int>((nibbles[i] & 15u) | ((high >> i) & 1u) << 4);
    const int hi =
        static_cast<int>((static_cast<uint32_t>(nibbles[i]) >> 4) | ((high >> (i + 16)) & 1u) << 4);
    out[i] = d * static_cast<float>(lo - offset) + m;
    out[i + 16] = d * static_cast<float>(hi - offset) + m;
  }
}

// x = d * q
void q8_0_block(const uint8_t* b, float* out) {
  const float d = half_to_float(u16_at(b));
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(b[2 + i]));
}

void block_to_f32(DType type, const uint8_t* b, float* out) {
  switch (type) {
    case DType::q4_0:
      return q4_0_block(b, out);
    case DType::q4_1:
      return q4_1_block(b, out);
    case DType::q5_0:
      return q5_block(b + 6, u32_at(b + 2), half_to_float(u16_at(b)), 0.0f, 16, out);
    case DType::q5_1:
      return q5_block(b + 8, u32_at(b + 4), half_to_float(u16_at(b)), half_to_float(u16_at(b + 2)),
                      0, out);
    default:
      return q8_0_block(b, out);
  }
}

template <typename T, typename Convert>
void numbers_to_f32(const std::byte* p, int64_t n, float* out, Convert convert) {
  for (int64_t i = 0; i < n; ++i) {
    T value;
    std::memcpy(&value, p + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    out[i] = convert(value);
  }
}

}  // namespace

bool to_f32_supported(DType type) {
  switch (type) {
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::f64:
    case DType::q4_0:
    case DType::q4_1:
    case DType::q5_0:
    case DType::q5_1:
    case DType::q8_0:
      return true;
    default:
      return false;
  }
}

void to_f32(const TensorView& view, int64_t offset, int64_t n, float* out) {
  const DTypeInfo& info = dtype_info(view.dtype);
  LM_CHECK(to_f32_supported(view.dtype), ErrorCode::unsupported,
           "weights of type {} cannot be computed with yet; f32, f16, bf16, q4_0, q4_1, q5_0, q5_1 "
           "and q8_0 can",
           info.name);
  const std::byte* p = view.data + offset / info.block * info.block_bytes;
  switch (view.dtype) {
    case DType::f32:
      std::memcpy(out, p, static_cast<size_t>(n) * 4);
      return;
    case DType::f64:
      return numbers_to_f32<double>(p, n, out, [](double x) { return static_cast<float>(x); });
    case DType::f16:
      return numbers_to_f32<uint16_t>(p, n, out, half_to_float);
    case DType::bf16:
      return numbers_to_f32<uint16_t>(p, n, out, bf16_to_float);
    default:
      break;
  }
  for (int64_t i = 0; i < n / info.block; ++i)
    block_to_f32(view.dtype, reinterpret_cast<const uint8_t*>(p) + i * info.block_bytes,
                 out + i * info.block);
}

}  // namespace lm
