// Blocks of 32: q4_0, q5_0, q8_0 scale the value of largest magnitude to the end of the code range;
// q4_1 and q5_1 map minimum and maximum to its two ends.
#include <cfloat>

#include "engine/quant/encode/encode.h"

namespace lm {
namespace {

constexpr int kBlock = 32;

float inverse(float d) {
  return d != 0.0f ? 1.0f / d : 0.0f;
}

// Codes 0 .. 2 * half - 1 under the scale that puts the largest value at code 0; returns the scale.
float symmetric_codes(const float* x, int half, uint8_t* codes) {
  const float d = largest_magnitude(x, kBlock) / static_cast<float>(-half), id = inverse(d);
  for (int i = 0; i < kBlock; ++i)
    codes[i] = static_cast<uint8_t>(
        std::min(2 * half - 1, static_cast<int>(x[i] * id + (static_cast<float>(half) + 0.5f))));
  return d;
}

struct Range {
  float scale, min;
};

Range range_codes(const float* x, int top, uint8_t* codes) {
  float low = FLT_MAX, high = -FLT_MAX;
  for (int i = 0; i < kBlock; ++i) {
    if (x[i] < low) low = x[i];
    if (x[i] > high) high = x[i];
  }
  const float d = (high - low) / static_cast<float>(top), id = inverse(d);
  for (int i = 0; i < kBlock; ++i)
    codes[i] = static_cast<uint8_t>(std::min(top, static_cast<int>((x[i] - low) * id + 0.5f)));
  return {d, low};
}

void put_nibbles(const uint8_t* codes, uint8_t* out) {
  for (int i = 0; i < kBlock / 2; ++i)
    out[i] = static_cast<uint8_t>((codes[i] & 15) | (codes[i + kBlock / 2] & 15) << 4);
}

void put_fifth_bits(const uint8_t* codes, uint8_t* out) {
  uint32_t bits = 0;
  for (int i = 0; i < kBlock; ++i) bits |= static_cast<uint32_t>(codes[i] >> 4) << i;
  std::memcpy(out, &bits, 4);
}

}  // namespace

void encode_q4_0(const float* x, uint8_t* b) {
  uint8_t codes[kBlock];
  put_f16(b, symmetric_codes(x, 8, codes));
  put_nibbles(codes, b + 2);
}

void encode_q5_0(const float* x, uint8_t* b) {
  uint8_t codes[kBlock];
  put_f16(b, symmetric_codes(x, 16, codes));
  put_fifth_bits(codes, b + 2);
  put_nibbles(codes, b + 6);
}

void encode_q4_1(const float* x, uint8_t* b) {
  uint8_t codes[kBlock];
  const Range r = range_codes(x, 15, codes);
  put_f16(b, r.scale);
  put_f16(b + 2, r.min);
  put_nibbles(codes, b + 4);
}

void encode_q5_1(const float* x, uint8_t* b) {
  uint8_t codes[kBlock];
  const Range r = range_codes(x, 31, codes);
  put_f16(b, r.scale);
  put_f16(b + 2, r.min);
  put_fifth_bits(codes, b + 4);
  put_nibbles(codes, b + 8);
}

void encode_q8_0(const float* x, uint8_t* b) {
  const float d = std::fabs(largest_magnitude(x, kBlock)) / 127.0f, id = inverse(d);
  put_f16(b, d);
  for (int i = 0; i < kBlock; ++i)
    b[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(std::round(x[i] * id)));
}

}  // namespace lm
