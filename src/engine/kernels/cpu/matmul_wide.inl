// Matrix products for many tokens with AMX tiles: 16 tokens x 16 rows x 32 k in one instruction.
//
// The codes of a few panels are unpacked once, as signed bytes, and used for all tokens. The integer sums are exact and the
// float operations and their order are those of quant_tile, so a token's result is bitwise the one that it has in a narrow
// batch. Included by kernels_amx.cpp between matmul.inl's tiles and its entry.

constexpr int kWideTokens = 16;

// One panel's codes and scales for 32 k.
template <PanelKind kKind>
struct WideBlock {
  static constexpr int kSubs = kQuantBlock / panel_format(kKind).sub;
  static constexpr bool kOffset = panel_format(kKind).scales == Scales::half_min ||
                                  panel_format(kKind).scales == Scales::min4 || panel_format(kKind).scales == Scales::min6;
  alignas(64) int8_t codes[8][64];
  float scale[kSubs][kPanelRows];
  float offset[kOffset ? kSubs : 0][kPanelRows];
};

template <PanelKind kKind>
void unpack_panel(const uint8_t* panel, int64_t cols, WideBlock<kKind>* out) {
  constexpr PanelFormat f = panel_format(kKind);
  using Block = WideBlock<kKind>;
  for (int64_t k = 0; k < cols; k += f.block, panel += f.block_bytes())
    for (int j = 0; j < f.block / kQuantBlock; ++j, ++out) {
      RowsF scale[Block::kSubs], offset[Block::kSubs];
      unpack_scales<kKind>(panel, j, scale, offset);
      Codes w[8];
      unpack_codes<kKind>(panel + f.header_bytes() + j * f.code_bytes(), w);
      for (int i = 0; i < 8; ++i)
        _mm512_store_si512(out->codes[i], _mm512_sub_epi8(w[i].v, _mm512_set1_epi8(static_cast<char>(f.bias))));
      for (int s = 0; s < Block::kSubs; ++s) {
        scale[s].store(out->scale[s]);
        if constexpr (Block::kOffset) offset[s].store(out->offset[s]);
      }
    }
}

// Tiles 0 to 3: sums of the high and low plane for two sub-blocks in turn; 4: codes; 5, 6: activations.
inline void configure_tiles(int tokens, int k) {
  struct alignas(64) Config {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
  } config;
  for (int i = 0; i < 7; ++i) {
    config.row_bytes[i] = static_cast<uint16_t>(i < 5 ? 64 : k);
    config.rows[i] = static_cast<uint8_t>(i == 4 ? k / 4 : tokens);
  }
  _tile_loadconfig(&config);
}

struct WideSums {
  alignas(64) int32_t high[kWideTokens][kPanelRows], low[kWideTokens][kPanelRows];
};

template <PanelKind kKind, int kSlot>
inline void multiply_tiles(const WideBlock<kKind>& w, int s, const int8_t* q, const int8_t* q_low, int64_t stride, WideSums* sums) {
  constexpr int kSub = panel_format(kKind).sub;
  _tile_loadd(4, w.codes[s * kSub / 4], 64);
  _tile_loadd(5, q + s * kSub, static_cast<size_t>(stride));
  _tile_loadd(6, q_low + s * kSub, static_cast<size_t>(stride));
  if constexpr (kSlot == 0) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_dpbssd(0, 5, 4);
    _tile_dpbssd(1, 6, 4);
    _tile_stored(0, sums->high, 64);
    _tile_stored(1, sums->low, 64);
  } else {
    _tile_zero(2);
    _tile_zero(3);
    _tile_dpbssd(2, 5, 4);
    _tile_dpbssd(3, 6, 4);
    _tile_stored(2, sums->high, 64);
    _tile_stored(3, sums->low, 64);
  }
}

template <PanelKind kKind, int NC>
inline void add_sums(const WideBlock<kKind>& w, int s, const WideSums& in, const float* d, const float* dsum, const int32_t* total,
                     int64_t blocks, __m512* sum) {
  constexpr PanelFormat f = panel_format(kKind);
  const __m512 scale = _mm512_loadu_ps(w.scale[s]);
  for (int c = 0; c < NC; ++c) {
    const Rows rows = join({_mm512_load_si512(in.high[c])}, {_mm512_load_si512(in.low[c])});
    RowsF x = add_scaled({sum[c]}, {scale}, rows, d[c * blocks]);
    if constexpr (f.scales == Scales::half_min) x = add_scaled(x, {_mm512_loadu_ps(w.offset[s])}, dsum[c * blocks]);
    if constexpr (f.scales == Scales::min6) x = add_scaled(x, {_mm512_loadu_ps(w.offset[s])}, -dsum[c * blocks]);
    if constexpr (f.scales == Scales::min4)
      x = add_scaled(x, {_mm512_loadu_ps(w.offset[s])}, -d[c * blocks] * static_cast<float>(total[2 * c * blocks + s]));
    sum[c] = x.v;
  }
}

// 16 rows x up to 16 tokens; the tiles are configured for `n` of them.
template <PanelKind kKind, int NC>
void wide_tile(const WideBlock<kKind>* w, const Activations& a, int64_t t0, float* out) {
  constexpr int kSubs = WideBlock<kKind>::kSubs;
  const int64_t blocks = a.cols / kQuantBlock;
  const int8_t *q = a.q + t0 * a.stride, *q_low = a.q_low + t0 * a.stride;
  const float *d = a.d + t0 * blocks, *dsum = a.dsum + t0 * blocks;
  const int32_t* total = a.sum + 2 * t0 * blocks;
  WideSums sums[2];
  __m512 sum[NC];
  for (__m512& x : sum) x = _mm512_setzero_ps();
  // The tiles work on one sub-block while the vectors add up the one before.
  const int64_t steps = blocks * kSubs;
  multiply_tiles<kKind, 0>(w[0], 0, q, q_low, a.stride, &sums[0]);
  for (int64_t i = 0; i < steps; i += 2) {
    const auto step = [&](int64_t at, auto slot) {
      if (at + 1 < steps) {
        const int64_t b = (at + 1) / kSubs;
        multiply_tiles<kKind, 1 - slot()>(w[b], static_cast<int>((at + 1) % kSubs), q + b * kQuantBlock, q_low + b * kQuantBlock,
                                          a.stride, &sums[1 - slot()]);
      }
      const int64_t b = at / kSubs;
      add_sums<kKind, NC>(w[b], static_cast<int>(at % kSubs), sums[slot()], d + b, dsum + b, total + 2 * b, blocks, sum);
    };
    step(i, std::integral_constant<int, 0>());
    if (i + 1 < steps) step(i + 1, std::integral_constant<int, 1>());
  }
  for (int c = 0; c < NC; ++c) _mm512_storeu_ps(out + c * kPanelRows, sum[c]);
}

template <PanelKind kKind>
void wide_tiles(const WideBlock<kKind>* w, const Activations& a, int64_t t0, int n, float* out) {
  if (n == kWideTokens) return wide_tile<kKind, kWideTokens>(w, a, t0, out);
  [&]<int... kCounts>(std::integer_sequence<int, kCounts...>) {
    ((n == kCounts + 1 ? wide_tile<kKind, kCounts + 1>(w, a, t0, out) : void()), ...);
  }(std::make_integer_sequence<int, kWideTokens - 1>());
}

template <PanelKind kKind>
void wide_matmul(const MatmulArgs& m) {
  using Block = WideBlock<kKind>;
  constexpr int kSub = panel_format(kKind).sub;
  constexpr int64_t kScratch = 512 << 10;  // a quarter to half of L2
  static thread_local AlignedBuffer scratch;
  const bool glu = m.epilogue == Epilogue::swiglu || m.epilogue == Epilogue::geglu;
  const int64_t blocks = m.in->cols / kQuantBlock, panel_bytes = blocks * static_cast<int64_t>(sizeof(Block));
  const int64_t group = std::max<int64_t>(2, kScratch / panel_bytes / 2 * 2);
  if (static_cast<int64_t>(scratch.size()) < group * panel_bytes) scratch = AlignedBuffer(static_cast<size_t>(group * panel_bytes));
  auto* const w = reinterpret_cast<Block*>(scratch.data());
  const auto* base = reinterpret_cast<const uint8_t*>(m.w->data.data());
  alignas(64) float one[kWideTokens * kPanelRows], two[kWideTokens * kPanelRows];
  for (int64_t first = m.panel_begin; first < m.panel_end; first += group) {
    const int64_t count = std::min(group, m.panel_end - first);
    for (int64_t p = 0; p < count; ++p) unpack_panel<kKind>(base + (first + p) * m.w->panel_bytes, m.in->cols, w + p * blocks);
    for (int64_t t = 0; t < m.n_tokens; t += kWideTokens) {
      const int n = static_cast<int>(std::min<int64_t>(m.n_tokens - t, kWideTokens));
      configure_tiles(n, kSub);
      for (int64_t p = 0; p < count; p += glu ? 2 : 1) {
        wide_tiles<kKind>(w + p * blocks, *m.in, t, n, one);
        if (glu) {
          wide_tiles<kKind>(w + (p + 1) * blocks, *m.in, t, n, two);
          write_glu(m, one, two, (first + p) / 2 * kPanelRows, t, n);
        } else {
          write_tile(m, one, (first + p) * kPanelRows, m.w->rows, t, n);
        }
      }
    }
  }
  _tile_release();
}
