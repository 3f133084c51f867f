// One and two bits per weight. tq1_0, tq2_0 and q2_0 round to multiples of the largest magnitude;
// q1_0 keeps signs and the mean magnitude.
#include "engine/quant/encode/encode.h"

namespace lm {
namespace {

// Codes round(x / largest) + 1, at most `top`; returns the scale.
float codes_of_largest(const float* x, int n, int top, uint8_t* codes) {
  const float d = std::fabs(largest_magnitude(x, n)), inverse = d != 0.0f ? 1.0f / d : 0.0f;
  for (int i = 0; i < n; ++i)
    codes[i] =
        static_cast<uint8_t>(std::clamp(static_cast<int>(std::round(x[i] * inverse)) + 1, 0, top));
  return d;
}

// Base-3 digits, `stride` apart, as a fraction of 256, rounded up so that decoding gets each digit
// back. Four digits take the places of the first four of five.
uint8_t pack_trits(const uint8_t* codes, int digits, int stride) {
  int value = 0;
  for (int n = 0; n < 5; ++n) value = value * 3 + (n < digits ? codes[n * stride] : 0);
  return static_cast<uint8_t>((value * 256 + 242) / 243);
}

}  // namespace

void encode_tq1_0(const float* x, uint8_t* b) {
  uint8_t codes[256];
  const float d = codes_of_largest(x, 256, 2, codes);
  for (int i = 0; i < 32; ++i) b[i] = pack_trits(codes + i, 5, 32);
  for (int i = 0; i < 16; ++i) b[32 + i] = pack_trits(codes + 160 + i, 5, 16);
  for (int i = 0; i < 4; ++i) b[48 + i] = pack_trits(codes + 240 + i, 4, 4);
  put_f16(b + 52, d);
}

void encode_tq2_0(const float* x, uint8_t* b) {
  uint8_t codes[256];
  const float d = codes_of_largest(x, 256, 2, codes);
  for (int i = 0; i < 64; ++i) {
    const uint8_t* c = codes + i / 32 * 128 + i % 32;
    b[i] = static_cast<uint8_t>(c[0] | c[32] << 2 | c[64] << 4 | c[96] << 6);
  }
  put_f16(b + 64, d);
}

void encode_q1_0(const float* x, uint8_t* b) {
  float sum = 0.0f;
  std::memset(b + 2, 0, 16);
  for (int i = 0; i < 128; ++i) {
    sum += std::fabs(x[i]);
    if (x[i] >= 0.0f) b[2 + i / 8] = static_cast<uint8_t>(b[2 + i / 8] | 1 << (i % 8));
  }
  put_f16(b, sum / 128);
}

void encode_q2_0(const float* x, uint8_t* b) {
  uint8_t codes[64];
  put_f16(b, codes_of_largest(x, 64, 3, codes));
  for (int i = 0; i < 16; ++i)
    b[2 + i] = static_cast<uint8_t>(codes[4 * i] | codes[4 * i + 1] << 2 | codes[4 * i + 2] << 4 |
                                    codes[4 * i + 3] << 6);
}

}  // namespace lm
