// The reference: plain loops that any compiler understands. Included by vec.h inside its namespace.

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

inline int32_t store_plane(Vec x, int8_t* q) {
  *q = static_cast<int8_t>(x.v);
  return *q;
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
