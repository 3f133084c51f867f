// AVX2 registers, with AVX-VNNI's dot products where compiled for them. Included by vec.h inside its namespace.

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
inline int32_t sum_of(__m256i x) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  s = _mm_add_epi32(s, _mm_srli_si128(s, 8));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_srli_si128(s, 4)));
}
inline int32_t store_plane(Vec x, int8_t* q) {
  const __m256i code = _mm256_cvtps_epi32(x.v);
  store_bytes(code, q);
  return sum_of(code);
}
inline int32_t store_planes(Vec x, int8_t* q, int8_t* q_low) {
  const __m256i code = _mm256_cvtps_epi32(x.v);
  const __m256i high = _mm256_srai_epi32(_mm256_add_epi32(code, _mm256_set1_epi32(128)), 8);
  const __m256i low =
      _mm256_max_epi32(_mm256_sub_epi32(code, _mm256_slli_epi32(high, 8)), _mm256_set1_epi32(-127));
  store_bytes(high, q);
  store_bytes(low, q_low);
  return sum_of(_mm256_add_epi32(_mm256_slli_epi32(high, 8), low));
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
#if defined(__AVXVNNI__)
inline void dot4(Rows& acc, Codes w, const int8_t* a) {
  int32_t word;
  std::memcpy(&word, a, 4);
  const __m256i x = _mm256_set1_epi32(word);
  for (int i = 0; i < 2; ++i) acc.v[i] = _mm256_dpbusd_avx_epi32(acc.v[i], w.v[i], x);
}
// The result includes 128 * sum(a), which kByteBias says how to take back.
inline void dot4_biased(Rows& acc, Codes w, const int8_t* a) {
  dot4(acc, w, a);
}
inline constexpr int kByteBias = 128;
#else
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
#endif
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
