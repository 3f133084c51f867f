// Codebook types: groups of 8 or 4 weights are an index into a grid, with signs and scales beside
// it. Grid entries are packed in one word each (iq_grids_table.inc): 2 bits per value of the 2-bit
// and 1-bit grids, 4 bits per value of the 3-bit grids.
#include "engine/kernels/cpu/dequant/blocks.h"

namespace lm {
namespace {

#include "engine/kernels/cpu/dequant/iq_grids_table.inc"

constexpr int8_t kLevels2[4] = {8, 25, 43, 0};
constexpr int8_t kLevels1[4] = {-1, 0, 1, 0};
constexpr int8_t kLevels3xxs[8] = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr int8_t kLevels3s[8] = {1, 3, 5, 7, 9, 11, 13, 15};
constexpr float kDelta = 0.125f;  // iq1: a shift of the whole group, up or down

float grid2(uint16_t entry, int i) {
  return kLevels2[(entry >> (2 * i)) & 3];
}

// Seven stored sign bits; the eighth makes their number even.
uint8_t even_signs(uint32_t seven) {
  seven &= 127;
  return static_cast<uint8_t>(seven | static_cast<uint32_t>(__builtin_popcount(seven) & 1) << 7);
}
float sign(uint8_t signs, int i) {
  return (signs >> i) & 1 ? -1.0f : 1.0f;
}

}  // namespace

// f16 d; per 32 weights: 4 grid bytes, then a word of 4 x 7 sign bits and a 4-bit scale.
void decode_iq2_xxs(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int j = 0; j < 8; ++j) {
    const uint8_t* q = b + 2 + j * 8;
    const uint32_t word = u32_at(q + 4);
    const float db = d * (0.5f + static_cast<float>(word >> 28)) * 0.25f;
    for (int g = 0; g < 4; ++g) {
      const uint8_t signs = even_signs(word >> (7 * g));
      for (int i = 0; i < 8; ++i) *out++ = db * grid2(kGridIq2xxs[q[g]], i) * sign(signs, i);
    }
  }
}

// f16 d; 32 words of 9 grid bits and 7 sign bits; 8 bytes of 4-bit scales, one per 16 weights.
void decode_iq2_xs(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int g = 0; g < 32; ++g) {
    const uint16_t word = u16_at(b + 2 + g * 2);
    const int scale = (b[66 + g / 4] >> (g / 2 % 2 * 4)) & 15;
    const float db = d * (0.5f + static_cast<float>(scale)) * 0.25f;
    const uint8_t signs = even_signs(static_cast<uint32_t>(word) >> 9);
    for (int i = 0; i < 8; ++i) *out++ = db * grid2(kGridIq2xs[word & 511], i) * sign(signs, i);
  }
}

// f16 d; 32 low grid bytes, 32 sign bytes, 8 bytes of 2 high grid bits, 8 bytes of scales.
void decode_iq2_s(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int g = 0; g < 32; ++g) {
    const int index = b[2 + g] | ((b[66 + g / 4] >> (g % 4 * 2)) & 3) << 8;
    const int scale = (b[74 + g / 4] >> (g / 2 % 2 * 4)) & 15;
    const float db = d * (0.5f + static_cast<float>(scale)) * 0.25f;
    for (int i = 0; i < 8; ++i) *out++ = db * grid2(kGridIq2s[index], i) * sign(b[34 + g], i);
  }
}

// f16 d; 64 grid bytes (4 weights each); per 32 weights a word of 4 x 7 sign bits and a 4-bit
// scale.
void decode_iq3_xxs(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int j = 0; j < 8; ++j) {
    const uint32_t word = u32_at(b + 66 + j * 4);
    const float db = d * (0.5f + static_cast<float>(word >> 28)) * 0.5f;
    for (int i = 0; i < 32; ++i) {
      const uint16_t entry = kGridIq3xxs[b[2 + j * 8 + i / 4]];
      *out++ = db * static_cast<float>(kLevels3xxs[(entry >> (i % 4 * 4)) & 7]) *
               sign(even_signs(word >> (i / 8 * 7)), i % 8);
    }
  }
}

// f16 d; 64 low grid bytes, 8 bytes of ninth grid bits, 32 sign bytes, 4 bytes of 4-bit scales.
void decode_iq3_s(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int j = 0; j < 8; ++j) {
    const int scale = (b[106 + j / 2] >> (j % 2 * 4)) & 15;
    const float db = d * static_cast<float>(1 + 2 * scale);
    for (int i = 0; i < 32; ++i) {
      const int index = b[2 + j * 8 + i / 4] | ((b[66 + j] >> (i / 4)) & 1) << 8;
      *out++ = db * static_cast<float>(kLevels3s[(kGridIq3s[index] >> (i % 4 * 4)) & 7]) *
               sign(b[74 + j * 4 + i / 8], i % 8);
    }
  }
}

// f16 d; 32 low grid bytes; per 32 weights a word: 4 x 3 high grid bits, 3-bit scale, sign of the
// shift.
void decode_iq1_s(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int j = 0; j < 8; ++j) {
    const uint16_t word = u16_at(b + 34 + j * 2);
    const float dl = d * static_cast<float>(2 * ((word >> 12) & 7) + 1);
    const float delta = word & 0x8000 ? -kDelta : kDelta;
    for (int g = 0; g < 4; ++g) {
      const uint16_t entry = kGridIq1[b[2 + j * 4 + g] | ((word >> (3 * g)) & 7) << 8];
      for (int i = 0; i < 8; ++i)
        *out++ = dl * (static_cast<float>(kLevels1[(entry >> (2 * i)) & 3]) + delta);
    }
  }
}

// 32 low grid bytes; 16 bytes of nibbles (3 high grid bits, sign of the shift); 4 words of 4 x
// 3-bit scales whose top nibbles make up the f16 d.
void decode_iq1_m(const uint8_t* b, float* out) {
  uint16_t scales[4], d_bits = 0;
  for (int i = 0; i < 4; ++i) {
    scales[i] = u16_at(b + 48 + i * 2);
    d_bits = static_cast<uint16_t>(d_bits | (scales[i] >> 12) << (4 * i));
  }
  const float d = half_to_float(d_bits);
  for (int g = 0; g < 32; ++g) {
    const int high = b[32 + g / 2] >> (g % 2 * 4);
    const int scale = (scales[g / 8] >> (g / 2 % 4 * 3)) & 7;
    const float dl = d * static_cast<float>(2 * scale + 1);
    const float delta = high & 8 ? -kDelta : kDelta;
    const uint16_t entry = kGridIq1[b[g] | (high & 7) << 8];
    for (int i = 0; i < 8; ++i)
      *out++ = dl * (static_cast<float>(kLevels1[(entry >> (2 * i)) & 3]) + delta);
  }
}

void decode_iq4_nl(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(kIq4Levels[nibble32(b + 2, i)]);
}

// f16 d, a word of 8 x 2 high scale bits, 4 bytes of low scale nibbles, 128 bytes of codes.
void decode_iq4_xs(const uint8_t* b, float* out) {
  const float d = f16_at(b);
  const uint16_t high = u16_at(b + 2);
  for (int j = 0; j < 8; ++j) {
    const int scale = ((b[4 + j / 2] >> (j % 2 * 4)) & 15) | ((high >> (2 * j)) & 3) << 4;
    const float dl = d * static_cast<float>(scale - 32);
    const uint8_t* q = b + 8 + j * 16;
    for (int i = 0; i < 32; ++i) *out++ = dl * static_cast<float>(kIq4Levels[nibble32(q, i)]);
  }
}

}  // namespace lm
