// Super-blocks of 256: fit each sub-block, quantise the scales found, then choose the codes again
// under the scales as stored.
#include "engine/kernels/cpu/dequant/blocks.h"
#include "engine/quant/encode/encode.h"
#include "engine/quant/encode/fit.h"

namespace lm {
namespace {

constexpr int kSuper = 256;

// Four 2-bit codes of each half share a byte: elements l, l + 32, l + 64, l + 96.
void put_pairs(const uint8_t* codes, uint8_t* out) {
  for (int half = 0; half < 2; ++half)
    for (int l = 0; l < 32; ++l) {
      const uint8_t* c = codes + half * 128 + l;
      out[half * 32 + l] =
          static_cast<uint8_t>((c[0] & 3) | (c[32] & 3) << 2 | (c[64] & 3) << 4 | (c[96] & 3) << 6);
    }
}

// Codes again, for x = d * code - m.
void recode(const float* x, int n, int top, float d, float m, uint8_t* codes) {
  for (int i = 0; i < n; ++i) codes[i] = static_cast<uint8_t>(nearest_int((x[i] + m) / d, 0, top));
}

// Codes again, for x = d * (code - half).
void recode_signed(const float* x, int n, int half, float d, uint8_t* codes) {
  for (int i = 0; i < n; ++i)
    codes[i] = static_cast<uint8_t>(nearest_int(x[i] / d, -half, half - 1) + half);
}

// Scales and minima of 8 sub-blocks as 6-bit numbers, then the codes under them: all of q4_k and
// q5_k but the packing of codes.
void encode_range_super_block(const float* x, int top, const RangeSearch& search, uint8_t* b,
                              uint8_t* codes) {
  ScaleAndMin fits[8];
  float max_scale = 0, max_min = 0;
  for (int j = 0; j < 8; ++j) {
    const float* sub = x + 32 * j;
    float sum_x2 = 0, weights[32];
    for (int l = 0; l < 32; ++l) sum_x2 += sub[l] * sub[l];
    const float average = std::sqrt(sum_x2 / 32);
    for (int l = 0; l < 32; ++l) weights[l] = average + std::fabs(sub[l]);
    fits[j] = fit_range(32, top, sub, weights, codes + 32 * j, search);
    if (fits[j].scale > max_scale) max_scale = fits[j].scale;
    if (fits[j].min > max_min) max_min = fits[j].min;
  }
  const float to_scale = max_scale > 0 ? 63.0f / max_scale : 0.0f,
              to_min = max_min > 0 ? 63.0f / max_min : 0.0f;
  put_f16(b, max_scale / 63.0f);
  put_f16(b + 2, max_min / 63.0f);
  uint8_t* packed = b + 4;
  for (int j = 0; j < 8; ++j) {
    // A fit may have a small negative scale; through the byte it becomes 63, as in the reference.
    const int s = std::min(63, nearest_int(to_scale * fits[j].scale) & 255),
              m = std::min(63, nearest_int(to_min * fits[j].min) & 255);
    if (j < 4) {
      packed[j] = static_cast<uint8_t>(s);
      packed[j + 4] = static_cast<uint8_t>(m);
    } else {
      packed[j + 4] = static_cast<uint8_t>((s & 15) | (m & 15) << 4);
      packed[j - 4] = static_cast<uint8_t>(packed[j - 4] | (s >> 4) << 6);
      packed[j] = static_cast<uint8_t>(packed[j] | (m >> 4) << 6);
    }
  }
  const float d = f16_at(b), dmin = f16_at(b + 2);
  for (int j = 0; j < 8; ++j) {
    const ScaleMin s = scale_min_k4(packed, j);
    const float ds = d * static_cast<float>(s.scale);
    if (ds != 0.0f)
      recode(x + 32 * j, 32, top, ds, dmin * static_cast<float>(s.min), codes + 32 * j);
  }
}

}  // namespace

void encode_q4_k(const float* x, uint8_t* b) {
  uint8_t codes[kSuper];
  encode_range_super_block(x, 15, {-1.0f, 0.1f, 20, false}, b, codes);
  for (int j = 0; j < 4; ++j)
    for (int l = 0; l < 32; ++l)
      b[16 + 32 * j + l] = static_cast<uint8_t>(codes[64 * j + l] | codes[64 * j + 32 + l] << 4);
}

void encode_q5_k(const float* x, uint8_t* b) {
  uint8_t codes[kSuper];
  encode_range_super_block(x, 31, {-0.5f, 0.1f, 15, false}, b, codes);
  std::memset(b + 16, 0, 32);
  for (int j = 0; j < 4; ++j)
    for (int l = 0; l < 32; ++l) {
      const int low = codes[64 * j + l], high = codes[64 * j + 32 + l];
      b[48 + 32 * j + l] = static_cast<uint8_t>((low & 15) | (high & 15) << 4);
      b[16 + l] =
          static_cast<uint8_t>(b[16 + l] | (low >> 4) << (2 * j) | (high >> 4) << (2 * j + 1));
    }
}

void encode_q2_k(const float* x, uint8_t* b) {
  uint8_t codes[kSuper];
  ScaleAndMin fits[16];
  float max_scale = 0, max_min = 0;
  for (int j = 0; j < 16; ++j) {
    float weights[16];
    for (int l = 0; l < 16; ++l) weights[l] = std::fabs(x[16 * j + l]);
    fits[j] = fit_range(16, 3, x + 16 * j, weights, codes + 16 * j, {-0.5f, 0.1f, 15, true});
    if (fits[j].scale > max_scale) max_scale = fits[j].scale;
    if (fits[j].min > max_min) max_min = fits[j].min;
  }
  const float to_scale = max_scale > 0 ? 15.0f / max_scale : 0.0f,
              to_min = max_min > 0 ? 15.0f / max_min : 0.0f;
  put_f16(b + 80, max_scale > 0 ? max_scale / 15.0f : 0.0f);
  put_f16(b + 82, max_min > 0 ? max_min / 15.0f : 0.0f);
  const float d = f16_at(b + 80), dmin = f16_at(b + 82);
  for (int j = 0; j < 16; ++j) {
    b[j] = static_cast<uint8_t>(nearest_int(to_scale * fits[j].scale) |
                                nearest_int(to_min * fits[j].min) << 4);
    const float ds = d * static_cast<float>(b[j] & 15);
    if (ds != 0.0f)
      recode(x + 16 * j, 16, 3, ds, dmin * static_cast<float>(b[j] >> 4), codes + 16 * j);
  }
  put_pairs(codes, b + 16);
}

void encode_q3_k(const float* x, uint8_t* b) {
  int8_t fitted[kSuper];
  float scales[16];
  for (int j = 0; j < 16; ++j) scales[j] = fit_signed_by_rounds(16, 4, x + 16 * j, fitted + 16 * j);
  const float largest = largest_magnitude(scales, 16);
  uint8_t* packed = b + 96;
  std::memset(packed, 0, 12);
  put_f16(b + 108, largest != 0.0f ? 1 / (-32.0f / largest) : 0.0f);
  for (int j = 0; j < 16 && largest != 0.0f; ++j) {
    const int l = nearest_int(-32.0f / largest * scales[j], -32, 31) + 32;
    packed[j % 8] = static_cast<uint8_t>(packed[j % 8] | (l & 15) << (j / 8 * 4));
    packed[8 + j % 4] = static_cast<uint8_t>(packed[8 + j % 4] | (l >> 4) << (j / 4 * 2));
  }
  uint8_t codes[kSuper];
  std::memcpy(codes, fitted, kSuper);
  const float d = f16_at(b + 108);
  for (int j = 0; j < 16; ++j) {
    const float ds = d * static_cast<float>(scale_q3k(packed, j) - 32);
    if (ds != 0.0f) recode_signed(x + 16 * j, 16, 4, ds, codes + 16 * j);
  }
  std::memset(b, 0, 32);
  for (int j = 0; j < kSuper; ++j)
    b[j % 32] = static_cast<uint8_t>(b[j % 32] | (codes[j] >> 2) << (j / 32));
  put_pairs(codes, b + 32);
}

void encode_q6_k(const float* x, uint8_t* b) {
  int8_t fitted[kSuper];
  float scales[16];
  for (int j = 0; j < 16; ++j) scales[j] = fit_signed(16, 32, x + 16 * j, fitted + 16 * j);
  const float largest = largest_magnitude(scales, 16);
  std::memset(b, 0, 210);
  if (std::fabs(largest) < kAllZero) return;
  const float to_scale = -128.0f / largest;
  put_f16(b + 208, 1 / to_scale);
  uint8_t codes[kSuper];
  std::memcpy(codes, fitted, kSuper);
  const float d = f16_at(b + 208);
  for (int j = 0; j < 16; ++j) {
    const auto scale = static_cast<int8_t>(std::min(127, nearest_int(to_scale * scales[j])));
    b[192 + j] = static_cast<uint8_t>(scale);
    const float ds = d * static_cast<float>(scale);
    if (ds != 0.0f) recode_signed(x + 16 * j, 16, 32, ds, codes + 16 * j);
  }
  for (int half = 0; half < 2; ++half)
    for (int l = 0; l < 32; ++l) {
      const uint8_t* c = codes + half * 128 + l;
      b[half * 64 + l] = static_cast<uint8_t>((c[0] & 15) | (c[64] & 15) << 4);
      b[half * 64 + 32 + l] = static_cast<uint8_t>((c[32] & 15) | (c[96] & 15) << 4);
      b[128 + half * 32 + l] = static_cast<uint8_t>(c[0] >> 4 | (c[32] >> 4) << 2 |
                                                    (c[64] >> 4) << 4 | (c[96] >> 4) << 6);
    }
}

}  // namespace lm
