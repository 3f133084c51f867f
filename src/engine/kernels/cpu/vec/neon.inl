// NEON registers (ARMv8-A), with FEAT_DotProd's dot products where compiled for them. Included by vec.h inside its namespace.

struct RowBytes {
  uint8x16_t v;
  static RowBytes load(const uint8_t* p) { return {vld1q_u8(p)}; }
  // `bits` bits of every byte from bit `from` on, moved to bit `to`.
  RowBytes field(int from, int bits, int to) const {
    const uint8x16_t at = vshlq_u8(v, vdupq_n_s8(static_cast<int8_t>(-from)));
    const uint8x16_t low = vandq_u8(at, vdupq_n_u8(static_cast<uint8_t>((1 << bits) - 1)));
    return {vshlq_u8(low, vdupq_n_s8(static_cast<int8_t>(to)))};
  }
};
inline RowBytes operator|(RowBytes a, RowBytes b) {
  return {vorrq_u8(a.v, b.v)};
}

// 16 bytes as 4 x 4 int32.
struct Words {
  int32x4_t v[4];
  static Words of(uint8x16_t bytes) {
    const uint16x8_t low = vmovl_u8(vget_low_u8(bytes)), high = vmovl_u8(vget_high_u8(bytes));
    return {{vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))), vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(low))),
             vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))), vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(high)))}};
  }
};

struct Vec {
  static constexpr int N = 4;
  float32x4_t v;
  static Vec load(const float* p) { return {vld1q_f32(p)}; }
  static Vec load_f16(const uint16_t* p) { return {vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)))}; }
  static Vec load_bf16(const uint16_t* p) { return {vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16))}; }
  static Vec load_i8(const int8_t* p) {
    int32_t word;
    std::memcpy(&word, p, 4);
    const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(word)));
    return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)))};
  }
  static Vec set(float x) { return {vdupq_n_f32(x)}; }
  void store(float* p) const { vst1q_f32(p, v); }
  void store_f16(uint16_t* p) const { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v))); }
  float sum() const { return vaddvq_f32(v); }
  float max() const { return vmaxvq_f32(v); }
};
inline Vec operator+(Vec a, Vec b) {
  return {vaddq_f32(a.v, b.v)};
}
inline Vec operator-(Vec a, Vec b) {
  return {vsubq_f32(a.v, b.v)};
}
inline Vec operator*(Vec a, Vec b) {
  return {vmulq_f32(a.v, b.v)};
}
inline Vec operator/(Vec a, Vec b) {
  return {vdivq_f32(a.v, b.v)};
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return {vfmaq_f32(c.v, a.v, b.v)};
}
inline Vec max(Vec a, Vec b) {
  return {vmaxq_f32(a.v, b.v)};
}
inline Vec min(Vec a, Vec b) {
  return {vminq_f32(a.v, b.v)};
}
inline Vec abs(Vec a) {
  return {vabsq_f32(a.v)};
}
inline Vec round_even(Vec a) {
  return {vrndnq_f32(a.v)};
}
inline Vec scale2(Vec x, Vec n) {
  const int32x4_t e = vmaxq_s32(vaddq_s32(vcvtq_s32_f32(n.v), vdupq_n_s32(127)), vdupq_n_s32(0));
  return {vmulq_f32(x.v, vreinterpretq_f32_s32(vshlq_n_s32(e, 23)))};
}

// The low byte of 4 int32.
inline void store_bytes(int32x4_t x, int8_t* p) {
  const int16x4_t halves = vmovn_s32(x);
  const int8x8_t bytes = vmovn_s16(vcombine_s16(halves, halves));
  const int32_t word = vget_lane_s32(vreinterpret_s32_s8(bytes), 0);
  std::memcpy(p, &word, 4);
}
inline int32_t store_plane(Vec x, int8_t* q) {
  const int32x4_t code = vcvtnq_s32_f32(x.v);
  store_bytes(code, q);
  return vaddvq_s32(code);
}
inline int32_t store_planes(Vec x, int8_t* q, int8_t* q_low) {
  const int32x4_t code = vcvtnq_s32_f32(x.v);
  const int32x4_t high = vshrq_n_s32(vaddq_s32(code, vdupq_n_s32(128)), 8);
  const int32x4_t low = vmaxq_s32(vsubq_s32(code, vshlq_n_s32(high, 8)), vdupq_n_s32(-127));
  store_bytes(high, q);
  store_bytes(low, q_low);
  return vaddvq_s32(vaddq_s32(vshlq_n_s32(high, 8), low));
}

struct Rows {
  int32x4_t v[4];
  static Rows set(int32_t x) {
    const int32x4_t all = vdupq_n_s32(x);
    return {{all, all, all, all}};
  }
};
struct Codes {
  uint8x16_t v[4];
  static Codes load(const uint8_t* p) { return {{vld1q_u8(p), vld1q_u8(p + 16), vld1q_u8(p + 32), vld1q_u8(p + 48)}}; }
  template <int kFrom, int kBits, int kTo>
  Codes field() const {
    const uint8x16_t mask = vdupq_n_u8(static_cast<uint8_t>(((1 << kBits) - 1) << kTo));
    const int8x16_t left = vdupq_n_s8(kTo - kFrom);
    Codes c;
    for (int i = 0; i < 4; ++i) c.v[i] = vandq_u8(vshlq_u8(v[i], left), mask);
    return c;
  }
  template <int kFrom, int kBits, int kTo>
  Codes with(Codes high) const {
    Codes c = high.field<kFrom, kBits, kTo>();
    for (int i = 0; i < 4; ++i) c.v[i] = vorrq_u8(v[i], c.v[i]);
    return c;
  }
  Codes lookup(const uint8_t* table) const {
    const uint8x16_t t = vld1q_u8(table);
    Codes c;
    for (int i = 0; i < 4; ++i) c.v[i] = vqtbl1q_u8(t, v[i]);
    return c;
  }
};

inline int32x4_t dot_signed(int32x4_t acc, int8x16_t w, int8x16_t a) {
#if defined(__ARM_FEATURE_DOTPROD)
  return vdotq_s32(acc, w, a);
#else  // products fit 16 bits: |w| <= 128, |a| <= 127
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(a)));
  const int32x4_t high = vpaddlq_s16(vmull_high_s8(w, a));
  return vaddq_s32(acc, vpaddq_s32(low, high));
#endif
}
// Codes are below 128, so they are the same as signed bytes.
inline void dot4(Rows& acc, Codes w, const int8_t* a) {
  int32_t word;
  std::memcpy(&word, a, 4);
  const int8x16_t x = vreinterpretq_s8_s32(vdupq_n_s32(word));
  for (int i = 0; i < 4; ++i) acc.v[i] = dot_signed(acc.v[i], vreinterpretq_s8_u8(w.v[i]), x);
}
// Codes stored +128 go back to signed. No bias remains.
inline void dot4_biased(Rows& acc, Codes w, const int8_t* a) {
  for (uint8x16_t& codes : w.v) codes = veorq_u8(codes, vdupq_n_u8(0x80));
  dot4(acc, w, a);
}
inline constexpr int kByteBias = 0;
inline Rows join(Rows high, Rows low) {
  for (int i = 0; i < 4; ++i) high.v[i] = vaddq_s32(vshlq_n_s32(high.v[i], 8), low.v[i]);
  return high;
}

struct RowsF {
  float32x4_t v[4];
  static RowsF zero() {
    const float32x4_t none = vdupq_n_f32(0.0f);
    return {{none, none, none, none}};
  }
  static RowsF of(RowBytes b, int bias) {
    const Words words = Words::of(b.v);
    RowsF f;
    for (int i = 0; i < 4; ++i) f.v[i] = vcvtq_f32_s32(vsubq_s32(words.v[i], vdupq_n_s32(bias)));
    return f;
  }
  static RowsF power(RowBytes b) {
    const Words words = Words::of(b.v);
    RowsF f;
    for (int i = 0; i < 4; ++i) {
      const int32x4_t e = vmaxq_s32(vsubq_s32(words.v[i], vdupq_n_s32(1)), vdupq_n_s32(0));
      f.v[i] = vreinterpretq_f32_s32(vshlq_n_s32(e, 23));
    }
    return f;
  }
  static RowsF load_f16(const uint8_t* p) {
    RowsF f;
    for (int i = 0; i < 4; ++i) f.v[i] = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + 8 * i)));
    return f;
  }
  void store(float* p) const {
    for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, v[i]);
  }
};
inline RowsF operator*(RowsF a, RowsF b) {
  for (int i = 0; i < 4; ++i) a.v[i] = vmulq_f32(a.v[i], b.v[i]);
  return a;
}
inline RowsF operator-(RowsF a) {
  for (float32x4_t& x : a.v) x = vnegq_f32(x);
  return a;
}
inline RowsF add_scaled(RowsF acc, RowsF scale, Rows rows, float d) {
  for (int i = 0; i < 4; ++i) acc.v[i] = vfmaq_f32(acc.v[i], vmulq_n_f32(scale.v[i], d), vcvtq_f32_s32(rows.v[i]));
  return acc;
}
inline RowsF add_scaled(RowsF acc, RowsF scale, float d) {
  for (int i = 0; i < 4; ++i) acc.v[i] = vfmaq_n_f32(acc.v[i], scale.v[i], d);
  return acc;
}
