#include "engine/quant/nf4.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>

#include "engine/core/half.h"
#include "engine/quant/blockwise8.h"

namespace lm {
namespace {

// Appendix E of the paper.
constexpr std::array<float, 16> kValues = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

constexpr std::array<float, 15> midpoints() {
  std::array<float, 15> out{};
  for (size_t i = 0; i < out.size(); ++i) out[i] = (kValues[i] + kValues[i + 1]) / 2;
  return out;
}
constexpr std::array<float, 15> kBounds = midpoints();

// The number of bounds below x.
uint8_t nearest(float x) {
  uint8_t code = 0;
  for (const float bound : kBounds) code = static_cast<uint8_t>(code + (bound < x));
  return code;
}

// One block's codes into `out`, one a byte; returns its scale. A last block that is not full is
// divided, others are multiplied by the reciprocal: as there.
float quantize_block(const float* values, int64_t n, uint8_t* out) {
  float scale = 0;
  for (int64_t i = 0; i < n; ++i) scale = std::max(scale, std::fabs(values[i]));
  const bool full = n == kNf4Block;
  const float divisor = std::max(scale, 1e-38f), factor = 1.0f / divisor;
  for (int64_t i = 0; i < n; ++i)
    out[i] = nearest(std::clamp(full ? values[i] * factor : values[i] / divisor, -1.0f, 1.0f));
  return full ? scale : divisor;
}

Nf4Scales quantize_scales(std::vector<float> scales) {
  Nf4Scales out;
  double sum = 0;
  for (const float s : scales) sum += static_cast<double>(s);
  out.offset = static_cast<float>(sum / static_cast<double>(std::max<size_t>(1, scales.size())));
  for (float& s : scales) s -= out.offset;
  const auto n = static_cast<int64_t>(scales.size());
  out.codes.resize(scales.size());
  for (int64_t i = 0; i < n; i += kBlock8)
    out.nested.push_back(
        quantize_block8(true, scales.data() + i, std::min(kBlock8, n - i), out.codes.data() + i));
  return out;
}

template <typename T>
void dequantize(const uint8_t* codes, const Nf4Scales& scales, int64_t begin, int64_t end, T* out) {
  while (begin < end) {
    const int64_t block = begin / kNf4Block, stop = std::min(end, (block + 1) * kNf4Block);
    const float scale = scales.at(block);
    T values[16];
    for (size_t i = 0; i < 16; ++i)
      if constexpr (std::is_same_v<T, float>)
        values[i] = kValues[i] * scale;
      else
        values[i] = float_to_bf16(kValues[i] * scale);
    if (begin % 2 != 0) *out++ = values[codes[begin++ / 2] & 15];
    for (; begin + 1 < stop; begin += 2) {
      const uint8_t pair = codes[begin / 2];
      *out++ = values[pair >> 4];
      *out++ = values[pair & 15];
    }
    if (begin < stop) *out++ = values[codes[begin++ / 2] >> 4];
  }
}

}  // namespace

float Nf4Scales::at(int64_t block) const {
  const float step = dynamic_map(true)[codes[static_cast<size_t>(block)]] *
                     nested[static_cast<size_t>(block / kBlock8)];
  return step + offset;
}

Nf4Scales nf4_quantize(const float* values, int64_t n, uint8_t* codes) {
  std::vector<float> scales;
  for (int64_t begin = 0; begin < n; begin += kNf4Block) {
    uint8_t block[kNf4Block] = {};
    const int64_t size = std::min(kNf4Block, n - begin);
    scales.push_back(quantize_block(values + begin, size, block));
    // The code of 0 fills up the last byte of an odd number of values.
    if (size % 2 != 0) block[size] = nearest(0.0f);
    for (int64_t i = 0; i < size; i += 2)
      codes[(begin + i) / 2] = static_cast<uint8_t>(block[i] << 4 | block[i + 1]);
  }
  return quantize_scales(std::move(scales));
}

void nf4_dequantize(const uint8_t* codes, const Nf4Scales& scales, int64_t begin, int64_t end,
                    float* out) {
  dequantize(codes, scales, begin, end, out);
}

void nf4_dequantize(const uint8_t* codes, const Nf4Scales& scales, int64_t begin, int64_t end,
                    uint16_t* out) {
  dequantize(codes, scales, begin, end, out);
}

}  // namespace lm
