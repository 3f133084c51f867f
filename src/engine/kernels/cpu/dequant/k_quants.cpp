// Super-blocks of 256 with small integer scales of their own: q2_k .. q6_k, q8_k. Codes of two or
// four sub-blocks share bytes: element i of each half (128) lies at byte i % 32, and i / 32 picks
// the bits.
#include "engine/kernels/cpu/dequant/blocks.h"

namespace lm {

// 16 bytes of scale (low nibble) and minimum (high nibble) per 16 elements; 64 bytes of 2-bit
// codes; f16 d, dmin.
void decode_q2_k(const uint8_t* b, float* out) {
  const uint8_t *scales = b, *codes = b + 16;
  const float d = f16_at(b + 80), dmin = f16_at(b + 82);
  for (int j = 0; j < 16; ++j) {
    const float dl = d * static_cast<float>(scales[j] & 15),
                ml = dmin * static_cast<float>(scales[j] >> 4);
    const uint8_t* q = codes + j / 8 * 32 + j % 2 * 16;
    const int shift = j % 8 / 2 * 2;
    for (int l = 0; l < 16; ++l) *out++ = dl * static_cast<float>((q[l] >> shift) & 3) - ml;
  }
}

// 32 bytes of third bits (a zero bit subtracts 4), 64 bytes of 2-bit codes, 12 bytes of scales, f16
// d.
void decode_q3_k(const uint8_t* b, float* out) {
  const uint8_t *high = b, *codes = b + 32, *scales = b + 96;
  const float d = f16_at(b + 108);
  for (int j = 0; j < 16; ++j) {
    const float dl = d * static_cast<float>(scale_q3k(scales, j) - 32);
    const uint8_t *q = codes + j / 8 * 32 + j % 2 * 16, *h = high + j % 2 * 16;
    const int shift = j % 8 / 2 * 2, bit = j / 2;
    for (int l = 0; l < 16; ++l)
      *out++ = dl * static_cast<float>(((q[l] >> shift) & 3) - ((h[l] >> bit) & 1 ? 0 : 4));
  }
}

// f16 d, dmin, 12 bytes of scales and minima, 128 bytes of nibbles.
void decode_q4_k(const uint8_t* b, float* out) {
  const float d = f16_at(b), dmin = f16_at(b + 2);
  for (int j = 0; j < 8; ++j) {
    const ScaleMin s = scale_min_k4(b + 4, j);
    const float dl = d * static_cast<float>(s.scale), ml = dmin * static_cast<float>(s.min);
    const uint8_t* q = b + 16 + j / 2 * 32;
    const int shift = j % 2 * 4;
    for (int l = 0; l < 32; ++l) *out++ = dl * static_cast<float>((q[l] >> shift) & 15) - ml;
  }
}

// As q4_k with 32 bytes of fifth bits before the nibbles: bit j of byte l belongs to sub-block j.
void decode_q5_k(const uint8_t* b, float* out) {
  const float d = f16_at(b), dmin = f16_at(b + 2);
  const uint8_t* high = b + 16;
  for (int j = 0; j < 8; ++j) {
    const ScaleMin s = scale_min_k4(b + 4, j);
    const float dl = d * static_cast<float>(s.scale), ml = dmin * static_cast<float>(s.min);
    const uint8_t* q = b + 48 + j / 2 * 32;
    const int shift = j % 2 * 4;
    for (int l = 0; l < 32; ++l)
      *out++ = dl * static_cast<float>(((q[l] >> shift) & 15) + ((high[l] >> j) & 1) * 16) - ml;
  }
}

// 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 signed scales, f16 d.
void decode_q6_k(const uint8_t* b, float* out) {
  const float d = f16_at(b + 208);
  for (int j = 0; j < 16; ++j) {  // sub-blocks of 16
    const float dl = d * static_cast<float>(static_cast<int8_t>(b[192 + j]));
    const int half = j / 8, quarter = j % 8 / 2, at = j % 2 * 16;
    const uint8_t *low = b + half * 64 + quarter % 2 * 32 + at, *high = b + 128 + half * 32 + at;
    for (int l = 0; l < 16; ++l)
      *out++ = dl * static_cast<float>((((low[l] >> (quarter / 2 * 4)) & 15) |
                                        ((high[l] >> (quarter * 2)) & 3) << 4) -
                                       32);
  }
}

// f32 d, 256 codes, 16 sums of 16 codes (for dot products).
void decode_q8_k(const uint8_t* b, float* out) {
  const float d = std::bit_cast<float>(u32_at(b));
  for (int i = 0; i < 256; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(b[4 + i]));
}

}  // namespace lm
