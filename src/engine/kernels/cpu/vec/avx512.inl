// AVX-512 registers. Included by vec.h inside its namespace.

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

// Stores whole numbers up to 127 as bytes and gives their sum.
inline int32_t store_plane(Vec x, int8_t* q) {
  const __m512i code = _mm512_cvtps_epi32(x.v);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm512_cvtepi32_epi8(code));
  return _mm512_reduce_add_epi32(code);
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
