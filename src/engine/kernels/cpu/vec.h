// A thin layer over vector registers: the kernels are written once against it and compiled for each
// instruction set. Each set lives in a namespace of its own (LM_ISA), so that the linker never
// mixes them.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "engine/core/half.h"

#if defined(LM_ISA_amx)
#include <immintrin.h>
#define LM_ISA_avx512  // the same registers, and tiles
#define LM_ISA amx
#elif defined(LM_ISA_avx512)
#include <immintrin.h>
#define LM_ISA avx512
#elif defined(LM_ISA_avx2)
#include <immintrin.h>
#define LM_ISA avx2
#else
#define LM_ISA_scalar
#define LM_ISA scalar
#endif

namespace lm::LM_ISA {

#if !defined(LM_ISA_scalar)

// 16 bytes, one for each row of a panel.
struct RowBytes {
  __m128i v;
  static RowBytes load(const uint8_t* p) {
    return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))};
  }
  // `bits` bits of every byte from bit `from` on, moved to bit `to`.
  RowBytes field(int from, int bits, int to) const {
    const __m128i at = _mm_srl_epi16(v, _mm_cvtsi32_si128(from));
    const __m128i low = _mm_and_si128(at, _mm_set1_epi8(static_cast<char>((1 << bits) - 1)));
    return {_mm_sll_epi16(low, _mm_cvtsi32_si128(to))};
  }
};
inline RowBytes operator|(RowBytes a, RowBytes b) {
  return {_mm_or_si128(a.v, b.v)};
}

#endif

#if defined(LM_ISA_avx512)

// N floats.
struct Vec {
  static constexpr int N = 16;
  __m512 v;
  static Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static Vec load_f16(const uint16_t* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  static Vec load_bf16(const uint16_t* p) {
    const __m512i w =
        _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(w, 16))};
  }
  static Vec load_i8(const int8_t* p) {
    return {_mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
  }
  static Vec set(float x) { return {_mm512_set1_ps(x)}; }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store_f16(uint16_t* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
  float sum() const { return _mm512_reduce_add_ps(v); }
  float max() const { return _mm512_reduce_max_ps(v); }
};
inline Vec operator+(Vec a, Vec b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline Vec operator-(Vec a, Vec b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline Vec operator*(Vec a, Vec b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline Vec operator/(Vec a, Vec b) {
  return {_mm512_div_ps(a.v, b.v)};
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
inline Vec max(Vec a, Vec b) {
  return {_mm512_max_ps(a.v, b.v)};
}
inline Vec min(Vec a, Vec b) {
  return {_mm512_min_ps(a.v, b.v)};
}
inline Vec abs(Vec a) {
  return {_mm512_abs_ps(a.v)};
}
inline Vec round_even(Vec a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// x * 2^n for integer-valued n
inline Vec scale2(Vec x, Vec n) {
  return {_mm512_scalef_ps(x.v, n.v)};
}

// Splits whole numbers up to 127 * 256 as 256 q + q_low, |q_low| < 128, and gives the sum of what
// is stored.
inline int32_t store_planes(Vec x, int8_t* q, int8_t* q_low) {
  const __m512i code = _mm512_cvtps_epi32(x.v);
  const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(code, _mm512_set1_epi32(128)), 8);
  const __m512i low =
      _mm512_max_epi32(_mm512_sub_epi32(code, _mm512_slli_epi32(high, 8)), _mm512_set1_epi32(-127));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm512_cvtepi32_epi8(high));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q_low), _mm512_cvtepi32_epi8(low));
  return _mm512_reduce_add_epi32(_mm512_add_epi32(_mm512_slli_epi32(high, 8), low));
}

// 16 int32, one for each row of a panel.
struct Rows {
  __m512i v;
  static Rows set(int32_t x) { return {_mm512_set1_epi32(x)}; }
};
// 64 code bytes: 4 consecutive k of 16 rows.
struct Codes {
  __m512i v;
  static Codes load(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
  // Bits kFrom .. kFrom + kBits - 1 of every byte, moved to bit kTo; the others are zero.
  template <int kFrom, int kBits, int kTo>
  Codes field() const {
    return {_mm512_and_si512(shifted<kFrom - kTo>(), mask<kBits, kTo>())};
  }
  // The same bits of `high` beside those that are here.
  template <int kFrom, int kBits, int kTo>
  Codes with(Codes high) const {
    // Some compilers make a macro of the intrinsic: its arguments have no commas.
    const __m512i other = high.shifted<kFrom - kTo>(), kept = mask<kBits, kTo>();
    return {_mm512_ternarylogic_epi32(v, other, kept, 0xf8)};
  }
  // table[code], codes 0 .. 15
  Codes lookup(const uint8_t* table) const {
    const __m128i t = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(t), v)};
  }

 private:
  template <int kRight>
  __m512i shifted() const {
    return kRight >= 0 ? _mm512_srli_epi16(v, kRight < 0 ? 0 : kRight)
                       : _mm512_slli_epi16(v, kRight < 0 ? -kRight : 0);
  }
  template <int kBits, int kTo>
  static __m512i mask() {
    return _mm512_set1_epi8(static_cast<char>(((1 << kBits) - 1) << kTo));
  }
};
// acc[r] += sum over b of code[4r+b] * a[b]; codes are unsigned.
inline void dot4(Rows& acc, Codes w, const int8_t* a) {
  int32_t word;
  std::memcpy(&word, a, 4);
  acc.v = _mm512_dpbusd_epi32(acc.v, w.v, _mm512_set1_epi32(word));
}
// The same for codes stored +128; the result includes 128 * sum(a), which kByteBias says how to
// take back.
inline void dot4_biased(Rows& acc, Codes w, const int8_t* a) {
  dot4(acc, w, a);
}
inline constexpr int kByteBias = 128;
// 256 * high + low
inline Rows join(Rows high, Rows low) {
  return {_mm512_add_epi32(_mm512_slli_epi32(high.v, 8), low.v)};
}

// 16 floats, one for each row of a panel: one vector here, two or sixteen elsewhere.
struct RowsF {
  __m512 v;
  static RowsF zero() { return {_mm512_setzero_ps()}; }
  static RowsF load_f16(const uint8_t* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  // Bytes minus `bias`.
  static RowsF of(RowBytes b, int bias) {
    return {
        _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_cvtepu8_epi32(b.v), _mm512_set1_epi32(bias)))};
  }
  // 2^(byte - 128), and zero for bytes 0 and 1.
  static RowsF power(RowBytes b) {
    const __m512i e = _mm512_sub_epi32(_mm512_cvtepu8_epi32(b.v), _mm512_set1_epi32(1));
    return {
        _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_max_epi32(e, _mm512_setzero_si512()), 23))};
  }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
};
inline RowsF operator*(RowsF a, RowsF b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline RowsF operator-(RowsF a) {
  return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f))};
}
// acc + scale * (rows as float) * d
inline RowsF add_scaled(RowsF acc, RowsF scale, Rows rows, float d) {
  return {_mm512_fmadd_ps(_mm512_mul_ps(scale.v, _mm512_set1_ps(d)), _mm512_cvtepi32_ps(rows.v),
                          acc.v)};
}
inline RowsF add_scaled(RowsF acc, RowsF scale, float d) {
  return {_mm512_fmadd_ps(scale.v, _mm512_set1_ps(d), acc.v)};
}

#elif defined(LM_ISA_avx2)

struct Vec {
  static constexpr int N = 8;
  __m256 v;
  static Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static Vec load_f16(const uint16_t* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
  }
  static Vec load_bf16(const uint16_t* p) {
    const __m256i w = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(w, 16))};
  }
  static Vec load_i8(const int8_t* p) {
    return {_mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))))};
  }
  static Vec set(float x) { return {_mm256_set1_ps(x)}; }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  void store_f16(uint16_t* p) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
  float sum() const {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  float max() const {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
  }
};
inline Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.v, b.v)};
}
inline Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
inline Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
inline Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.v, b.v)};
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
inline Vec max(Vec a, Vec b) {
  return {_mm256_max_ps(a.v, b.v)};
}
inline Vec min(Vec a, Vec b) {
  return {_mm256_min_ps(a.v, b.v)};
}
inline Vec abs(Vec a) {
  return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)};
}
inline Vec round_even(Vec a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline Vec scale2(Vec x, Vec n) {
  const __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
  return {_mm256_mul_ps(x.v, _mm256_castsi256_ps(_mm256_slli_epi32(
                                 _mm256_max_epi32(e, _mm256_setzero_si256()), 23)))};
}

// The low byte of 8 int32.
inline void store_bytes(__m256i x, int8_t* p) {
  const __m256i halves = _mm256_permute4x64_epi64(_mm256_packs_epi32(x, x), 0xd8);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p),
                   _mm256_castsi256_si128(_mm256_packs_epi16(halves, halves)));
}
inline int32_t store_planes(Vec x, int8_t* q, int8_t* q_low) {
  const __m256i code = _mm256_cvtps_epi32(x.v);
  const __m256i high = _mm256_srai_epi32(_mm256_add_epi32(code, _mm256_set1_epi32(128)), 8);
  const __m256i low =
      _mm256_max_epi32(_mm256_sub_epi32(code, _mm256_slli_epi32(high, 8)), _mm256_set1_epi32(-127));
  store_bytes(high, q);
  store_bytes(low, q_low);
  const __m256i all = _mm256_add_epi32(_mm256_slli_epi32(high, 8), low);
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
  s = _mm_add_epi32(s, _mm_srli_si128(s, 8));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_srli_si128(s, 4)));
}

struct Rows {
  __m256i v[2];
  static Rows set(int32_t x) { return {{_mm256_set1_epi32(x), _mm256_set1_epi32(x)}}; }
};
struct Codes {
  __m256i v[2];
  static Codes load(const uint8_t* p) {
    return {{_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
             _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))}};
  }
  template <int kFrom, int kBits, int kTo>
  Codes field() const {
    const __m256i m = _mm256_set1_epi8(static_cast<char>(((1 << kBits) - 1) << kTo));
    return {{_mm256_and_si256(shifted<kFrom - kTo>(v[0]), m),
             _mm256_and_si256(shifted<kFrom - kTo>(v[1]), m)}};
  }
  template <int kFrom, int kBits, int kTo>
  Codes with(Codes high) const {
    const Codes f = high.field<kFrom, kBits, kTo>();
    return {{_mm256_or_si256(v[0], f.v[0]), _mm256_or_si256(v[1], f.v[1])}};
  }
  Codes lookup(const uint8_t* table) const {
    const __m256i t =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
    return {{_mm256_shuffle_epi8(t, v[0]), _mm256_shuffle_epi8(t, v[1])}};
  }

 private:
  template <int kRight>
  static __m256i shifted(__m256i x) {
    return kRight >= 0 ? _mm256_srli_epi16(x, kRight < 0 ? 0 : kRight)
                       : _mm256_slli_epi16(x, kRight < 0 ? -kRight : 0);
  }
};
// Codes up to 63: pair sums stay below 2^15, so VPMADDUBSW does not saturate.
inline void dot4(Rows& acc, Codes w, const int8_t* a) {
  int32_t word;
  std::memcpy(&word, a, 4);
  const __m256i x = _mm256_set1_epi32(word), one = _mm256_set1_epi16(1);
  for (int i = 0; i < 2; ++i)
    acc.v[i] = _mm256_add_epi32(acc.v[i], _mm256_madd_epi16(_mm256_maddubs_epi16(w.v[i], x), one));
}
// Codes stored +128 go back to signed; |w| * sign(a, w) keeps pair sums within 128 * 127 * 2 <
// 2^15. No bias remains.
inline void dot4_biased(Rows& acc, Codes w, const int8_t* a) {
  int32_t word;
  std::memcpy(&word, a, 4);
  const __m256i x = _mm256_set1_epi32(word), one = _mm256_set1_epi16(1),
                flip = _mm256_set1_epi8(static_cast<char>(0x80));
  for (int i = 0; i < 2; ++i) {
    const __m256i s = _mm256_xor_si256(w.v[i], flip);
    const __m256i p = _mm256_maddubs_epi16(_mm256_abs_epi8(s), _mm256_sign_epi8(x, s));
    acc.v[i] = _mm256_add_epi32(acc.v[i], _mm256_madd_epi16(p, one));
  }
}
inline constexpr int kByteBias = 0;
inline Rows join(Rows high, Rows low) {
  for (int i = 0; i < 2; ++i)
    high.v[i] = _mm256_add_epi32(_mm256_slli_epi32(high.v[i], 8), low.v[i]);
  return high;
}

struct RowsF {
  __m256 v[2];
  static RowsF zero() { return {{_mm256_setzero_ps(), _mm256_setzero_ps()}}; }
  static RowsF of(RowBytes b, int bias) {
    const __m256i m = _mm256_set1_epi32(bias);
    return {
        {_mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_cvtepu8_epi32(b.v), m)),
         _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_cvtepu8_epi32(_mm_srli_si128(b.v, 8)), m))}};
  }
  static RowsF power(RowBytes b) { return {{half_power(b.v), half_power(_mm_srli_si128(b.v, 8))}}; }
  static RowsF load_f16(const uint8_t* p) {
    return {{_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
             _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16)))}};
  }
  void store(float* p) const {
    _mm256_storeu_ps(p, v[0]);
    _mm256_storeu_ps(p + 8, v[1]);
  }

 private:
  static __m256 half_power(__m128i bytes) {
    const __m256i e = _mm256_sub_epi32(_mm256_cvtepu8_epi32(bytes), _mm256_set1_epi32(1));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_max_epi32(e, _mm256_setzero_si256()), 23));
  }
};
inline RowsF operator*(RowsF a, RowsF b) {
  return {{_mm256_mul_ps(a.v[0], b.v[0]), _mm256_mul_ps(a.v[1], b.v[1])}};
}
inline RowsF operator-(RowsF a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {{_mm256_xor_ps(a.v[0], sign), _mm256_xor_ps(a.v[1], sign)}};
}
inline RowsF add_scaled(RowsF acc, RowsF scale, Rows rows, float d) {
  for (int i = 0; i < 2; ++i)
    acc.v[i] = _mm256_fmadd_ps(_mm256_mul_ps(scale.v[i], _mm256_set1_ps(d)),
                               _mm256_cvtepi32_ps(rows.v[i]), acc.v[i]);
  return acc;
}
inline RowsF add_scaled(RowsF acc, RowsF scale, float d) {
  for (int i = 0; i < 2; ++i) acc.v[i] = _mm256_fmadd_ps(scale.v[i], _mm256_set1_ps(d), acc.v[i]);
  return acc;
}

#else  // scalar: the reference; plain loops that any compiler understands

struct Vec {
  static constexpr int N = 1;
  float v;
  static Vec load(const float* p) { return {*p}; }
  static Vec load_f16(const uint16_t* p) { return {half_to_float(*p)}; }
  static Vec load_bf16(const uint16_t* p) { return {bf16_to_float(*p)}; }
  static Vec load_i8(const int8_t* p) { return {static_cast<float>(*p)}; }
  static Vec set(float x) { return {x}; }
  void store(float* p) const { *p = v; }
  void store_f16(uint16_t* p) const { *p = float_to_half(v); }
  float sum() const { return v; }
  float max() const { return v; }
};
inline Vec operator+(Vec a, Vec b) {
  return {a.v + b.v};
}
inline Vec operator-(Vec a, Vec b) {
  return {a.v - b.v};
}
inline Vec operator*(Vec a, Vec b) {
  return {a.v * b.v};
}
inline Vec operator/(Vec a, Vec b) {
  return {a.v / b.v};
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return {a.v * b.v + c.v};
}
inline Vec max(Vec a, Vec b) {
  return {a.v > b.v ? a.v : b.v};
}
inline Vec min(Vec a, Vec b) {
  return {a.v < b.v ? a.v : b.v};
}
inline Vec abs(Vec a) {
  return {std::fabs(a.v)};
}
inline Vec round_even(Vec a) {
  return {std::nearbyintf(a.v)};
}
inline Vec scale2(Vec x, Vec n) {
  return {std::ldexp(x.v, static_cast<int>(n.v))};
}

inline int32_t store_planes(Vec x, int8_t* q, int8_t* q_low) {
  const auto code = static_cast<int32_t>(x.v);
  const int32_t high = (code + 128) >> 8, low = std::max(code - high * 256, -127);
  *q = static_cast<int8_t>(high);
  *q_low = static_cast<int8_t>(low);
  return high * 256 + low;
}

struct Rows {
  int32_t v[16];
  static Rows set(int32_t x) {
    Rows r;
    for (int32_t& e : r.v) e = x;
    return r;
  }
};
struct Codes {
  uint8_t v[64];
  static Codes load(const uint8_t* p) {
    Codes c;
    std::memcpy(c.v, p, 64);
    return c;
  }
  template <int kFrom, int kBits, int kTo>
  Codes field() const {
    Codes c;
    for (int i = 0; i < 64; ++i)
      c.v[i] = static_cast<uint8_t>(((v[i] >> kFrom) & ((1 << kBits) - 1)) << kTo);
    return c;
  }
  template <int kFrom, int kBits, int kTo>
  Codes with(const Codes& high) const {
    Codes c = high.field<kFrom, kBits, kTo>();
    for (int i = 0; i < 64; ++i) c.v[i] |= v[i];
    return c;
  }
  Codes lookup(const uint8_t* table) const {
    Codes c;
    for (int i = 0; i < 64; ++i) c.v[i] = table[v[i]];
    return c;
  }
};
inline void dot4(Rows& acc, const Codes& w, const int8_t* a) {
  for (int r = 0; r < 16; ++r)
    for (int b = 0; b < 4; ++b) acc.v[r] += w.v[4 * r + b] * a[b];
}
inline void dot4_biased(Rows& acc, const Codes& w, const int8_t* a) {
  for (int r = 0; r < 16; ++r)
    for (int b = 0; b < 4; ++b) acc.v[r] += (w.v[4 * r + b] - 128) * a[b];
}
inline constexpr int kByteBias = 0;
inline Rows join(Rows high, const Rows& low) {
  for (int i = 0; i < 16; ++i) high.v[i] = high.v[i] * 256 + low.v[i];
  return high;
}

struct RowBytes {
  uint8_t v[16];
  static RowBytes load(const uint8_t* p) {
    RowBytes b;
    std::memcpy(b.v, p, 16);
    return b;
  }
  RowBytes field(int from, int bits, int to) const {
    RowBytes b;
    for (int i = 0; i < 16; ++i)
      b.v[i] = static_cast<uint8_t>(((v[i] >> from) & ((1 << bits) - 1)) << to);
    return b;
  }
};
inline RowBytes operator|(RowBytes a, const RowBytes& b) {
  for (int i = 0; i < 16; ++i) a.v[i] |= b.v[i];
  return a;
}

struct RowsF {
  float v[16];
  static RowsF zero() { return {}; }
  static RowsF of(const RowBytes& b, int bias) {
    RowsF f;
    for (int i = 0; i < 16; ++i) f.v[i] = static_cast<float>(b.v[i] - bias);
    return f;
  }
  static RowsF power(const RowBytes& b) {
    RowsF f;
    for (int i = 0; i < 16; ++i) f.v[i] = b.v[i] < 2 ? 0.0f : std::ldexp(1.0f, b.v[i] - 128);
    return f;
  }
  static RowsF load_f16(const uint8_t* p) {
    RowsF f;
    uint16_t h[16];
    std::memcpy(h, p, 32);
    for (int i = 0; i < 16; ++i) f.v[i] = half_to_float(h[i]);
    return f;
  }
  void store(float* p) const { std::memcpy(p, v, 64); }
};
inline RowsF operator*(RowsF a, const RowsF& b) {
  for (int i = 0; i < 16; ++i) a.v[i] *= b.v[i];
  return a;
}
inline RowsF operator-(RowsF a) {
  for (float& x : a.v) x = -x;
  return a;
}
inline RowsF add_scaled(RowsF acc, const RowsF& scale, const Rows& rows, float d) {
  for (int i = 0; i < 16; ++i) acc.v[i] += scale.v[i] * d * static_cast<float>(rows.v[i]);
  return acc;
}
inline RowsF add_scaled(RowsF acc, const RowsF& scale, float d) {
  for (int i = 0; i < 16; ++i) acc.v[i] += scale.v[i] * d;
  return acc;
}

#endif

// exp(x) for x in [-87, 88], relative error below 2e-7: 2^n * p(r) with r = x - n ln 2 in [-ln2/2,
// ln2/2] (Cody & Waite's split of ln 2, degree-6 Taylor polynomial). Below -87 the result is 0 to
// within 1e-38.
inline Vec exp(Vec x) {
  x = min(max(x, Vec::set(-87.0f)), Vec::set(88.0f));
  const Vec n = round_even(x * Vec::set(1.44269504f));
  Vec r = fma(n, Vec::set(-0.693359375f), x);
  r = fma(n, Vec::set(2.12194440e-4f), r);
  Vec p = Vec::set(1.0f / 720);
  for (const float c : {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f})
    p = fma(p, r, Vec::set(c));
  return scale2(p, n);
}

}  // namespace lm::LM_ISA
