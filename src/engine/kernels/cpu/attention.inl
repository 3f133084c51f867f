// Attention over the paged cache, compiled once for each instruction set.
//
// One call looks at one chunk of kAttentionChunk keys for up to 8 query rows that share a kv head (the heads of a group, several
// tokens): each key and value is read and converted once for all of them, and their scores stay in L1. Scores: 16 positions in the
// lanes, so no horizontal sums. Bytes moved: keys of the chunk * (D + DV) * element size, per group of rows.
// Chunks begin at multiples of kAttentionChunk whatever the batch, and their results are merged in order (merge_attention): a row's
// result depends on neither the other rows nor on how chunks were shared out over threads.
// Included by kernels_<isa>.cpp inside the namespace of that instruction set.

constexpr int kKeyBlock = 16;
constexpr int kBlockVecs = kKeyBlock / Vec::N;
constexpr float kMasked = -1e30f;

template <KvType T>
Vec load_cache(const std::byte* p, int64_t i) {
  if constexpr (T == KvType::f16) return Vec::load_f16(reinterpret_cast<const uint16_t*>(p) + i);
  else if constexpr (T == KvType::bf16) return Vec::load_bf16(reinterpret_cast<const uint16_t*>(p) + i);
  else if constexpr (T == KvType::int8 || T == KvType::int4) return Vec::load_i8(reinterpret_cast<const int8_t*>(p) + i);
  else return Vec::load(reinterpret_cast<const float*>(p) + i);
}

// Number d, or N from it on, of the value at a position of a page.
template <KvType T>
Vec load_value(const std::byte* page, int64_t slot, int64_t dim, int64_t d) {
  if constexpr (T != KvType::int4) {
    return load_cache<T>(page, slot * dim + d);
  } else {
    const auto* codes = reinterpret_cast<const uint8_t*>(page) + slot * int4_value_bytes(dim) + d / 32 * 16 + d % 16;
    const int shift = d % 32 < 16 ? 0 : 4;
    using Word = std::conditional_t<Vec::N == 1, uint8_t, std::conditional_t<Vec::N == 4, uint32_t, uint64_t>>;
    alignas(16) int8_t four[Vec::N];
    for (size_t i = 0; i < Vec::N; i += sizeof(Word)) {
      Word word;
      std::memcpy(&word, codes + i, sizeof(word));
      word = static_cast<Word>((word >> shift) & static_cast<Word>(0x0f0f0f0f0f0f0f0f));
      std::memcpy(four + i, &word, sizeof(word));
    }
    return Vec::load_i8(four);
  }
}

template <KvType T>
float cache_value(const std::byte* page, int64_t slot, int64_t dim, int64_t d) {
  const int64_t i = slot * dim + d;
  if constexpr (T == KvType::f16) return half_to_float(reinterpret_cast<const uint16_t*>(page)[i]);
  else if constexpr (T == KvType::bf16) return bf16_to_float(reinterpret_cast<const uint16_t*>(page)[i]);
  else if constexpr (T == KvType::int8) return reinterpret_cast<const int8_t*>(page)[i];
  else if constexpr (T == KvType::int4) {
    const auto* codes = reinterpret_cast<const uint8_t*>(page) + slot * int4_value_bytes(dim) + d / 32 * 16 + d % 16;
    return static_cast<float>((*codes >> (d % 32 < 16 ? 0 : 4)) & 15);
  } else return reinterpret_cast<const float*>(page)[i];
}

// What stands behind a page's 32 keys: their scales; behind its values: scales, then minimums of int4.
inline const float* key_scales(const std::byte* page, int64_t dim) {
  return reinterpret_cast<const float*>(page + kPageTokens * dim);
}
template <KvType T>
const float* value_scales(const std::byte* page, int64_t dim) {
  return reinterpret_cast<const float*>(page + kPageTokens * (T == KvType::int4 ? int4_value_bytes(dim) : dim));
}

// Scores of the blocks of 16 keys [lo, hi), multiples of 16; row r's go to scores[r * kAttentionChunk + key - base].
template <KvType T, int M>
void score_rows(const AttentionArgs& a, int64_t base, int64_t lo, int64_t hi) {
  for (int64_t first = lo; first < hi; first += kKeyBlock) {
    const std::byte* page = a.pages[first / kPageTokens] + a.k_offset;
    const int64_t in_page = first % kPageTokens;
    Vec acc[M][kBlockVecs];
    for (int r = 0; r < M; ++r)
      for (Vec& v : acc[r]) v = Vec::set(0.0f);
    for (int64_t d = 0; d < a.head_dim; ++d)
      for (int u = 0; u < kBlockVecs; ++u) {
        const Vec key = load_cache<T>(page, in_page * a.head_dim + d * kKeyBlock + u * Vec::N);
        for (int r = 0; r < M; ++r) acc[r][u] = fma(key, Vec::set(a.q[r][d]), acc[r][u]);
      }
    for (int u = 0; u < kBlockVecs; ++u) {
      Vec scale = Vec::set(a.scale);
      if constexpr (T == KvType::int8 || T == KvType::int4)
        scale = scale * Vec::load(key_scales(page, a.head_dim) + in_page + u * Vec::N);
      for (int r = 0; r < M; ++r)
        (acc[r][u] * scale).store(a.scores + r * kAttentionChunk + first - base + u * Vec::N);
    }
  }
}

// What row r does not see of [lo, hi).
template <typename F>
void for_hidden(const AttentionArgs& a, int r, int64_t lo, int64_t hi, F&& f) {
  const auto within = [&](int64_t key) { return key < lo ? lo : key > hi ? hi : key; };
  for (int64_t i = within(a.n_sink), end = within(a.first_key[r]); i < end; ++i) f(i);
  for (int64_t i = within(a.n_keys[r]); i < hi; ++i) f(i);
}

// Turns the scores of row r into exp(score - largest), 0 for what it does not see.
inline void softmax_row(const AttentionArgs& a, int r, int64_t base, int64_t lo, int64_t hi) {
  float* s = a.scores + r * kAttentionChunk - base;
  if (a.bias != nullptr)
    for (int64_t i = lo; i < hi && i < a.n_keys[r]; ++i) s[i] += a.bias[r][i];
  if (a.softcap > 0.0f)
    for (int64_t i = lo; i < hi; ++i) s[i] = a.softcap * std::tanh(s[i] / a.softcap);
  for_hidden(a, r, lo, hi, [&](int64_t i) { s[i] = kMasked; });
  Vec top = Vec::set(kMasked);
  for (int64_t i = lo; i < hi; i += Vec::N) top = max(top, Vec::load(s + i));
  const float largest = top.max();
  for (int64_t i = lo; i < hi; i += Vec::N) exp(Vec::load(s + i) - Vec::set(largest)).store(s + i);
  for_hidden(a, r, lo, hi, [&](int64_t i) { s[i] = 0.0f; });
  Vec total = Vec::set(0.0f);
  for (int64_t i = lo; i < hi; i += Vec::N) total = total + Vec::load(s + i);
  a.largest[r] = largest;
  a.sum[r] = total.sum();
}

// f(page, first key, end) for the parts of [lo, end) in each page of values.
template <typename F>
void for_pages(const AttentionArgs& a, int64_t lo, int64_t end, F&& f) {
  for (int64_t first = lo; first < end;) {
    const int64_t next = first / kPageTokens * kPageTokens + kPageTokens, stop = next < end ? next : end;
    f(a.pages[first / kPageTokens] + a.v_offset, first, stop);
    first = stop;
  }
}

// int8 and int4 values: their scales go into the probabilities. The minimums of int4 are the same for all numbers of a value:
// what they add to a row's sums is returned in rest[M].
template <KvType T, int M>
void scale_probabilities(const AttentionArgs& a, int64_t base, int64_t lo, int64_t end, float* rest) {
  for (int r = 0; r < M; ++r) rest[r] = 0.0f;
  for_pages(a, lo, end, [&](const std::byte* page, int64_t first, int64_t stop) {
    const float* scales = value_scales<T>(page, a.value_dim);
    for (int r = 0; r < M; ++r)
      for (int64_t i = first; i < stop; ++i) {
        float& p = a.scores[r * kAttentionChunk + i - base];
        if constexpr (T == KvType::int4) rest[r] = std::fma(p, scales[kPageTokens + i % kPageTokens], rest[r]);
        p *= scales[i % kPageTokens];
      }
  });
}

template <KvType T, int M, int W>
void weighted_values(const AttentionArgs& a, int64_t base, int64_t lo, int64_t end, int64_t d) {
  Vec acc[M][W];
  for (int r = 0; r < M; ++r)
    for (Vec& v : acc[r]) v = Vec::set(0.0f);
  for_pages(a, lo, end, [&](const std::byte* page, int64_t first, int64_t stop) {
    for (int64_t pos = first; pos < stop; ++pos) {
      Vec value[W];
      for (int u = 0; u < W; ++u) value[u] = load_value<T>(page, pos % kPageTokens, a.value_dim, d + u * Vec::N);
      for (int r = 0; r < M; ++r) {
        const Vec p = Vec::set(a.scores[r * kAttentionChunk + pos - base]);
        for (int u = 0; u < W; ++u) acc[r][u] = fma(value[u], p, acc[r][u]);
      }
    }
  });
  for (int r = 0; r < M; ++r)
    for (int u = 0; u < W; ++u) acc[r][u].store(a.out[r] + d + u * Vec::N);
}

template <KvType T>
void weighted_column(const AttentionArgs& a, int r, int64_t base, int64_t lo, int64_t end, int64_t d) {
  float total = 0.0f;
  for_pages(a, lo, end, [&](const std::byte* page, int64_t first, int64_t stop) {
    // Said outright: a compiler that fuses in its main loop and not in the rest makes results depend on the range.
    for (int64_t pos = first; pos < stop; ++pos)
      total = std::fma(a.scores[r * kAttentionChunk + pos - base],
                       cache_value<T>(page, pos % kPageTokens, a.value_dim, d), total);
  });
  a.out[r][d] = total;
}

template <KvType T, int M>
void attention_rows(const AttentionArgs& a) {
  const int64_t base = a.chunk * kAttentionChunk;
  int64_t first = a.n_sink > base ? base : base + kAttentionChunk, end = base;
  for (int r = 0; r < M; ++r) {
    first = a.first_key[r] < first ? a.first_key[r] : first;
    end = a.n_keys[r] > end ? a.n_keys[r] : end;
  }
  first = first < base ? base : first;
  end = end > base + kAttentionChunk ? base + kAttentionChunk : end;
  const int64_t lo = first / kKeyBlock * kKeyBlock, hi = (end + kKeyBlock - 1) / kKeyBlock * kKeyBlock;
  score_rows<T, M>(a, base, lo, hi);
  for (int r = 0; r < M; ++r) softmax_row(a, r, base, lo, hi);
  float rest[M];
  if constexpr (T == KvType::int8 || T == KvType::int4) scale_probabilities<T, M>(a, base, first, end, rest);
  int64_t d = 0;
  for (; d + 2 * Vec::N <= a.value_dim; d += 2 * Vec::N) weighted_values<T, M, 2>(a, base, first, end, d);
  for (; d + Vec::N <= a.value_dim; d += Vec::N) weighted_values<T, M, 1>(a, base, first, end, d);
  for (; d < a.value_dim; ++d)
    for (int r = 0; r < M; ++r) weighted_column<T>(a, r, base, first, end, d);
  if constexpr (T == KvType::int4)
    for (int r = 0; r < M; ++r)
      for (d = 0; d < a.value_dim; ++d) a.out[r][d] += rest[r];
}

template <KvType T>
void attention_kind(const AttentionArgs& a) {
  switch (a.m) {
    case 1: return attention_rows<T, 1>(a);
    case 2: return attention_rows<T, 2>(a);
    case 3: return attention_rows<T, 3>(a);
    case 4: return attention_rows<T, 4>(a);
    case 5: return attention_rows<T, 5>(a);
    case 6: return attention_rows<T, 6>(a);
    case 7: return attention_rows<T, 7>(a);
    default: return attention_rows<T, 8>(a);
  }
}

inline void attention(const AttentionArgs& a) {
  switch (a.kv_type) {
    case KvType::f32: return attention_kind<KvType::f32>(a);
    case KvType::f16: return attention_kind<KvType::f16>(a);
    case KvType::bf16: return attention_kind<KvType::bf16>(a);
    case KvType::int8: return attention_kind<KvType::int8>(a);
    case KvType::int4: return attention_kind<KvType::int4>(a);
  }
}

// out[i * step] = x[i] in the cache's type.
inline void store_f16(const float* x, int64_t n, uint16_t* out, int64_t step) {
  alignas(64) uint16_t half[Vec::N];
  int64_t d = 0;
  for (; d + Vec::N <= n; d += Vec::N) {
    Vec::load(x + d).store_f16(half);
    for (int i = 0; i < Vec::N; ++i) out[(d + i) * step] = half[i];
  }
  for (; d < n; ++d) out[d * step] = float_to_half(x[d]);
}

inline void store_int8(const float* x, int64_t n, int8_t* out, int64_t step, float* scale) {
  float largest = 0.0f;
  for (int64_t d = 0; d < n; ++d) largest = std::fabs(x[d]) > largest ? std::fabs(x[d]) : largest;
  *scale = largest / 127.0f;
  const float inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
  for (int64_t d = 0; d < n; ++d) out[d * step] = static_cast<int8_t>(std::lrintf(x[d] * inverse));
}

// x = minimum + scale * code, codes 0 .. 15.
inline void store_int4(const float* x, int64_t n, uint8_t* out, float* scale, float* minimum) {
  const auto [least, most] = std::minmax_element(x, x + n);
  *minimum = *least;
  *scale = (*most - *least) / 15.0f;
  const float inverse = *scale > 0.0f ? 1.0f / *scale : 0.0f;
  std::fill_n(out, int4_value_bytes(n), uint8_t{0});
  for (int64_t d = 0; d < n; ++d) {
    const auto code = static_cast<int>(std::lrintf((x[d] - *minimum) * inverse));
    out[d / 32 * 16 + d % 16] |= static_cast<uint8_t>(std::min(code, 15) << (d % 32 < 16 ? 0 : 4));
  }
}

inline void store_row(const float* x, int64_t n, KvType type, std::byte* area, int64_t at, int64_t step, float* scale) {
  switch (type) {
    case KvType::f32:
      for (int64_t d = 0; d < n; ++d) reinterpret_cast<float*>(area)[at + d * step] = x[d];
      return;
    case KvType::f16: return store_f16(x, n, reinterpret_cast<uint16_t*>(area) + at, step);
    case KvType::bf16:
      for (int64_t d = 0; d < n; ++d) reinterpret_cast<uint16_t*>(area)[at + d * step] = float_to_bf16(x[d]);
      return;
    case KvType::int8:
    case KvType::int4: return store_int8(x, n, reinterpret_cast<int8_t*>(area) + at, step, scale);
  }
}

inline void store_kv(const KvStoreArgs& a) {
  const auto scale = [&](std::byte* area, int64_t dim) {
    return reinterpret_cast<float*>(area + kPageTokens * dim) + a.slot;  // used by int8 and int4 only
  };
  store_row(a.k, a.head_dim, a.kv_type, a.k_area, a.slot / kKeyBlock * kKeyBlock * a.head_dim + a.slot % kKeyBlock, kKeyBlock,
            scale(a.k_area, a.head_dim));
  if (a.kv_type == KvType::int4) {
    const int64_t bytes = int4_value_bytes(a.value_dim);
    float* const behind = scale(a.v_area, bytes);
    return store_int4(a.v, a.value_dim, reinterpret_cast<uint8_t*>(a.v_area) + a.slot * bytes, behind, behind + kPageTokens);
  }
  store_row(a.v, a.value_dim, a.kv_type, a.v_area, a.slot * a.value_dim, 1, scale(a.v_area, a.value_dim));
}
