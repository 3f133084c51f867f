// 16 bytes in an SSE register, for AVX2 and AVX-512. Included by vec.h inside its namespace.

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
