// Attention over the KV cache, compiled once for each instruction set.
//
// Up to 8 query rows that share a kv head (the heads of a group, several tokens) are done together: each key and value is
// read and converted once for all of them. Scores: 16 positions in the lanes, so no horizontal sums. Softmax in two passes
// over a score row that stays in L1/L2. Bytes moved: 2 * n_keys * D * 2 per group of rows.
// Included by kernels_<isa>.cpp inside the namespace of that instruction set.

constexpr int kKeyBlock = 16;
constexpr int kBlockVecs = kKeyBlock / Vec::N;

template <bool kF16>
Vec load_cache(const void* p, int64_t i) {
  if constexpr (kF16) return Vec::load_f16(static_cast<const uint16_t*>(p) + i);
  else return Vec::load(static_cast<const float*>(p) + i);
}

template <bool kF16, int M>
void score_rows(const AttentionArgs& a, int64_t first_block, int64_t n_blocks, int64_t stride) {
  for (int64_t block = first_block; block < n_blocks; ++block) {
    Vec acc[M][kBlockVecs];
    for (int r = 0; r < M; ++r)
      for (Vec& v : acc[r]) v = Vec::set(0.0f);
    const int64_t base = block * kKeyBlock * a.head_dim;
    for (int64_t d = 0; d < a.head_dim; ++d)
      for (int u = 0; u < kBlockVecs; ++u) {
        const Vec key = load_cache<kF16>(a.k, base + d * kKeyBlock + u * Vec::N);
        for (int r = 0; r < M; ++r) acc[r][u] = fma(key, Vec::set(a.q[r][d]), acc[r][u]);
      }
    for (int r = 0; r < M; ++r)
      for (int u = 0; u < kBlockVecs; ++u)
        (acc[r][u] * Vec::set(a.scale)).store(a.scores + r * stride + block * kKeyBlock + u * Vec::N);
  }
}

// Turns scores [begin, end) of one row into probabilities (not yet divided by their sum, which is returned);
// the rest of [lo, hi) becomes 0.
float softmax_row(float* s, int64_t lo, int64_t hi, int64_t begin, int64_t end) {
  for (int64_t i = lo; i < begin; ++i) s[i] = 0.0f;
  float largest = s[begin];
  for (int64_t i = begin; i < end; ++i) largest = s[i] > largest ? s[i] : largest;
  for (int64_t i = lo; i < begin; ++i) s[i] = -1e30f;
  for (int64_t i = end; i < hi; ++i) s[i] = -1e30f;
  Vec total = Vec::set(0.0f);
  const Vec top = Vec::set(largest);
  for (int64_t i = lo; i < hi; i += Vec::N) {  // lo and hi are multiples of 16
    const Vec p = exp(Vec::load(s + i) - top);
    p.store(s + i);
  }
  for (int64_t i = lo; i < begin; ++i) s[i] = 0.0f;
  for (int64_t i = end; i < hi; ++i) s[i] = 0.0f;
  for (int64_t i = lo; i < hi; i += Vec::N) total = total + Vec::load(s + i);
  return total.sum();
}

template <bool kF16, int M, int W>
void weighted_values(const AttentionArgs& a, int64_t lo, int64_t hi, int64_t stride, int64_t d, const float* inverse) {
  Vec acc[M][W];
  for (int r = 0; r < M; ++r)
    for (Vec& v : acc[r]) v = Vec::set(0.0f);
  for (int64_t pos = lo; pos < hi; ++pos) {
    Vec value[W];
    for (int u = 0; u < W; ++u) value[u] = load_cache<kF16>(a.v, pos * a.value_dim + d + u * Vec::N);
    for (int r = 0; r < M; ++r) {
      const Vec p = Vec::set(a.scores[r * stride + pos]);
      for (int u = 0; u < W; ++u) acc[r][u] = fma(value[u], p, acc[r][u]);
    }
  }
  for (int r = 0; r < M; ++r)
    for (int u = 0; u < W; ++u) (acc[r][u] * Vec::set(inverse[r])).store(a.out[r] + d + u * Vec::N);
}

template <bool kF16, int M>
void attention_rows(const AttentionArgs& a) {
  int64_t lo = a.n_sink > 0 ? 0 : a.first_key[0], hi = 0;
  for (int r = 0; r < M; ++r) {
    lo = a.first_key[r] < lo ? a.first_key[r] : lo;
    hi = a.n_keys[r] > hi ? a.n_keys[r] : hi;
  }
  const int64_t first_block = lo / kKeyBlock, n_blocks = (hi + kKeyBlock - 1) / kKeyBlock;
  const int64_t stride = n_blocks * kKeyBlock;
  score_rows<kF16, M>(a, first_block, n_blocks, stride);
  float inverse[M];
  for (int r = 0; r < M; ++r) {
    float* s = a.scores + r * stride;
    if (a.bias != nullptr)
      for (int64_t i = a.first_key[r]; i < a.n_keys[r]; ++i) s[i] += a.bias[r][i];
    if (a.softcap > 0.0f)
      for (int64_t i = first_block * kKeyBlock; i < stride; ++i) s[i] = a.softcap * std::tanh(s[i] / a.softcap);
    const int64_t begin = a.n_sink > 0 ? 0 : a.first_key[r];
    for (int64_t i = a.n_sink; i < a.first_key[r] && begin == 0; ++i) s[i] = -1e30f;
    inverse[r] = 1.0f / softmax_row(s, first_block * kKeyBlock, stride, begin, a.n_keys[r]);
  }
  int64_t d = 0;
  for (; d + 2 * Vec::N <= a.value_dim; d += 2 * Vec::N) weighted_values<kF16, M, 2>(a, lo, hi, stride, d, inverse);
  for (; d + Vec::N <= a.value_dim; d += Vec::N) weighted_values<kF16, M, 1>(a, lo, hi, stride, d, inverse);
  for (; d < a.value_dim; ++d)
    for (int r = 0; r < M; ++r) {
      float total = 0.0f;
      for (int64_t pos = lo; pos < hi; ++pos) {
        const int64_t i = pos * a.value_dim + d;
        const float value = kF16 ? half_to_float(static_cast<const uint16_t*>(a.v)[i]) : static_cast<const float*>(a.v)[i];
        // Said outright: a compiler that fuses in its main loop and not in the rest makes results depend on the range.
        total = std::fma(a.scores[r * stride + pos], value, total);
      }
      a.out[r][d] = total * inverse[r];
    }
}

template <bool kF16>
void attention_kind(const AttentionArgs& a) {
  switch (a.m) {
    case 1: return attention_rows<kF16, 1>(a);
    case 2: return attention_rows<kF16, 2>(a);
    case 3: return attention_rows<kF16, 3>(a);
    case 4: return attention_rows<kF16, 4>(a);
    case 5: return attention_rows<kF16, 5>(a);
    case 6: return attention_rows<kF16, 6>(a);
    case 7: return attention_rows<kF16, 7>(a);
    default: return attention_rows<kF16, 8>(a);
  }
}

void attention(const AttentionArgs& a) { a.kv_f16 ? attention_kind<true>(a) : attention_kind<false>(a); }

void store_kv(const float* k, const float* v, int64_t head_dim, int64_t value_dim, int64_t pos, bool f16, void* k_cache,
              void* v_cache) {
  const int64_t base = pos / kKeyBlock * kKeyBlock * head_dim + pos % kKeyBlock;
  if (!f16) {
    auto* kc = static_cast<float*>(k_cache) + base;
    for (int64_t d = 0; d < head_dim; ++d) kc[d * kKeyBlock] = k[d];
    std::memcpy(static_cast<float*>(v_cache) + pos * value_dim, v, static_cast<size_t>(value_dim) * 4);
    return;
  }
  auto* kc = static_cast<uint16_t*>(k_cache) + base;
  auto* vc = static_cast<uint16_t*>(v_cache) + pos * value_dim;
  alignas(64) uint16_t half[Vec::N];
  int64_t d = 0;
  for (; d + Vec::N <= head_dim; d += Vec::N) {
    Vec::load(k + d).store_f16(half);
    for (int i = 0; i < Vec::N; ++i) kc[(d + i) * kKeyBlock] = half[i];
  }
  for (; d < head_dim; ++d) kc[d * kKeyBlock] = float_to_half(k[d]);
  for (d = 0; d + Vec::N <= value_dim; d += Vec::N) Vec::load(v + d).store_f16(vc + d);
  for (; d < value_dim; ++d) vc[d] = float_to_half(v[d]);
}
