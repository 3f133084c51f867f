#include "engine/kernels/cpu/dequant/plain.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "engine/core/half.h"

namespace lm {
namespace {

// Sign, exponent and mantissa of a byte with `mantissa_bits`; no special values.
float small_float(uint8_t x, int mantissa_bits, int bias) {
  const int exponent = (x & 127) >> mantissa_bits, mantissa = x & ((1 << mantissa_bits) - 1);
  const int hidden = exponent == 0 ? 0 : 1 << mantissa_bits;
  const float value = std::ldexp(static_cast<float>(hidden + mantissa),
                                 (exponent == 0 ? 1 : exponent) - bias - mantissa_bits);
  return x & 128 ? -value : value;
}

template <typename T, typename Convert>
void convert_all(const std::byte* p, int64_t n, float* out, Convert convert) {
  for (int64_t i = 0; i < n; ++i) {
    T value;
    std::memcpy(&value, p + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    out[i] = convert(value);
  }
}

}  // namespace

float e4m3_to_float(uint8_t x) {
  return (x & 127) == 127 ? std::numeric_limits<float>::quiet_NaN() : small_float(x, 3, 7);
}

float e5m2_to_float(uint8_t x) {
  return half_to_float(static_cast<uint16_t>(x << 8));
}

float e4m3fnuz_to_float(uint8_t x) {
  return x == 128 ? std::numeric_limits<float>::quiet_NaN() : small_float(x, 3, 8);
}

float e5m2fnuz_to_float(uint8_t x) {
  return x == 128 ? std::numeric_limits<float>::quiet_NaN() : small_float(x, 2, 16);
}

bool is_plain_float(DType type) {
  return plain_to_f32(type, nullptr, 0, nullptr);
}

bool plain_to_f32(DType type, const std::byte* p, int64_t n, float* out) {
  switch (type) {
    case DType::f32:
      if (n > 0) std::memcpy(out, p, static_cast<size_t>(n) * 4);
      return true;
    case DType::f64:
      convert_all<double>(p, n, out, [](double x) { return static_cast<float>(x); });
      return true;
    case DType::f16:
      convert_all<uint16_t>(p, n, out, half_to_float);
      return true;
    case DType::bf16:
      convert_all<uint16_t>(p, n, out, bf16_to_float);
      return true;
    case DType::f8_e4m3:
      convert_all<uint8_t>(p, n, out, e4m3_to_float);
      return true;
    case DType::f8_e5m2:
      convert_all<uint8_t>(p, n, out, e5m2_to_float);
      return true;
    case DType::f8_e4m3fnuz:
      convert_all<uint8_t>(p, n, out, e4m3fnuz_to_float);
      return true;
    case DType::f8_e5m2fnuz:
      convert_all<uint8_t>(p, n, out, e5m2fnuz_to_float);
      return true;
    default:
      return false;
  }
}

}  // namespace lm
