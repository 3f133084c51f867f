// Matrix products for many tokens with AMX tiles: 16 tokens x 16 rows x 32 k in one instruction.
//
// The codes of a few panels are unpacked once, as signed bytes, and used for all tokens. The integer sums are exact and the
// float operations and their order are those of quant_tile, so a token's result is bitwise the one that it has in a narrow
// batch. Included by kernels_amx.cpp between matmul.inl's tiles and its entry.

constexpr int kTileRows = 16;
// Two tiles of activations: two planes of 16 tokens, or one plane of 32.
template <int kPlanes>
constexpr int wide_tokens() {
  return 2 * kTileRows / kPlanes;
}

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
  using Block = WideBlock<kKind>;
  constexpr auto kBias = static_cast<char>(panel_format(kKind).bias);
  for_blocks<kKind>(panel, cols / kQuantBlock, [&](int64_t b, const Unpacked<kKind>& w) {
    for (int i = 0; i < 8; ++i)
      _mm512_store_si512(out[b].codes[i], _mm512_sub_epi8(w.codes[i].v, _mm512_set1_epi8(kBias)));
    for (int s = 0; s < Block::kSubs; ++s) {
      w.scale[s].store(out[b].scale[s]);
      if constexpr (Block::kOffset) w.offset[s].store(out[b].offset[s]);
    }
  });
}

// Tiles 0, 1: sums of the two tiles of activations with one panel; 2, 3: with the other; 4, 5: codes of the two panels; 6, 7:
// activations. first, second: rows (tokens) of the two tiles of activations; k: bytes of a row.
inline void configure_tiles(int first, int second, int k) {
  struct alignas(64) Config {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
  } config;
  for (int i = 0; i < 8; ++i) {
    const int tokens = i % 2 == 0 ? first : second;
    config.row_bytes[i] = static_cast<uint16_t>(i < 6 ? 64 : k);
    config.rows[i] = static_cast<uint8_t>(i == 4 || i == 5 ? k / 4 : tokens > 0 ? tokens : 1);
  }
  // g++ tells the compiler of the first 8 bytes only that the instruction reads.
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

struct TileSums {
  alignas(64) int32_t rows[2 * kTileRows][kPanelRows];  // of the first tile of activations, then of the second
};

// What sub-block s of one block of 32 k adds to the sums of n tokens; d, dsum and total belong to the first token's block.
template <PanelKind kKind, int kPlanes>
inline void add_sums(const WideBlock<kKind>& w, int s, const TileSums& in, const float* d, const float* dsum,
                     const int32_t* total, int64_t blocks, int n, float* sum) {
  constexpr PanelFormat f = panel_format(kKind);
  const RowsF scale{_mm512_load_ps(w.scale[s])};
  const auto add = [&](int c) {
    Rows rows{_mm512_load_si512(in.rows[c])};
    if constexpr (kPlanes == 2) rows = join(rows, {_mm512_load_si512(in.rows[kTileRows + c])});
    RowsF x = add_scaled({_mm512_load_ps(sum + c * kPanelRows)}, scale, rows, d[c * blocks]);
    if constexpr (f.scales == Scales::half_min || f.scales == Scales::min6)
      x = add_scaled(x, {_mm512_load_ps(w.offset[s])}, dsum[c * blocks]);
    if constexpr (f.scales == Scales::min4)
      x = add_scaled(x, {_mm512_load_ps(w.offset[s])}, d[c * blocks] * static_cast<float>(total[2 * c * blocks + s]));
    x.store(sum + c * kPanelRows);
  };
  if (n == wide_tokens<kPlanes>())
    for (int c = 0; c < wide_tokens<kPlanes>(); ++c) add(c);
  else
    for (int c = 0; c < n; ++c) add(c);
}

// Two panels (one[], two[]) x n tokens, for which the tiles are configured. Storing a tile takes as long as a product, and
// both want the vector units to have other work meanwhile: the sums of a step are added up during the next one.
template <PanelKind kKind, int kPlanes>
void wide_tile(const WideBlock<kKind>* one, const WideBlock<kKind>* two, const Activations& a, int64_t t0, int n, float* out_one,
               float* out_two) {
  constexpr int kSub = panel_format(kKind).sub, kSubs = WideBlock<kKind>::kSubs;
  const int64_t blocks = a.cols / kQuantBlock;
  const auto stride = static_cast<size_t>(a.stride);
  const bool both = kPlanes == 2 || n > kTileRows;
  const int8_t* q = a.q + t0 * a.stride;
  const int8_t* q_second = kPlanes == 2 ? a.q_low + t0 * a.stride : q + kTileRows * a.stride;
  const float *d = a.d + t0 * blocks, *dsum = a.dsum + t0 * blocks;
  const int32_t* total = a.sum + 2 * t0 * blocks;
  TileSums sums_one, sums_two;
  std::fill_n(out_one, n * kPanelRows, 0.0f);
  std::fill_n(out_two, n * kPanelRows, 0.0f);
  const auto add = [&](const WideBlock<kKind>* w, int64_t step, const TileSums& sums, float* out) {
    const int64_t b = step / kSubs;
    add_sums<kKind, kPlanes>(w[b], static_cast<int>(step % kSubs), sums, d + b, dsum + b, total + 2 * b, blocks, n, out);
  };
  const int64_t steps = blocks * kSubs;
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t b = i / kSubs, s = i % kSubs, k = i * kSub;
    _tile_loadd(4, one[b].codes[s * kSub / 4], 64);
    _tile_loadd(6, q + k, stride);
    _tile_zero(0);
    _tile_dpbssd(0, 6, 4);
    if (both) {
      _tile_loadd(7, q_second + k, stride);
      _tile_zero(1);
      _tile_dpbssd(1, 7, 4);
    }
    _tile_loadd(5, two[b].codes[s * kSub / 4], 64);
    if (i > 0) {
      _tile_stored(2, sums_two.rows[0], 64);
      if (both) _tile_stored(3, sums_two.rows[kTileRows], 64);
      add(one, i - 1, sums_one, out_one);
    }
    _tile_zero(2);
    _tile_dpbssd(2, 6, 5);
    if (both) {
      _tile_zero(3);
      _tile_dpbssd(3, 7, 5);
    }
    _tile_stored(0, sums_one.rows[0], 64);
    if (both) _tile_stored(1, sums_one.rows[kTileRows], 64);
    if (i > 0) add(two, i - 1, sums_two, out_two);
  }
  _tile_stored(2, sums_two.rows[0], 64);
  if (both) _tile_stored(3, sums_two.rows[kTileRows], 64);
  add(one, steps - 1, sums_one, out_one);
  add(two, steps - 1, sums_two, out_two);
}

template <PanelKind kKind, int kPlanes>
void wide_matmul(const MatmulArgs& m) {
  using Block = WideBlock<kKind>;
  constexpr int kSub = panel_format(kKind).sub, kTokens = wide_tokens<kPlanes>();
  constexpr int64_t kScratch = 512 << 10;  // a quarter to half of L2
  static thread_local AlignedBuffer scratch;
  const bool glu = m.epilogue == Epilogue::swiglu || m.epilogue == Epilogue::geglu;
  const int64_t blocks = m.in->cols / kQuantBlock, panel_bytes = blocks * static_cast<int64_t>(sizeof(Block));
  const int64_t group = std::max<int64_t>(2, kScratch / panel_bytes / 2 * 2);
  if (static_cast<int64_t>(scratch.size()) < group * panel_bytes) scratch = AlignedBuffer(static_cast<size_t>(group * panel_bytes));
  auto* const w = reinterpret_cast<Block*>(scratch.data());
  const auto* base = reinterpret_cast<const uint8_t*>(m.w->data.data());
  alignas(64) float one[kTokens * kPanelRows], two[kTokens * kPanelRows];
  for (int64_t first = m.panel_begin; first < m.panel_end; first += group) {
    const int64_t count = std::min(group, m.panel_end - first);
    for (int64_t p = 0; p < count; ++p) unpack_panel<kKind>(base + (first + p) * m.w->panel_bytes, m.in->cols, w + p * blocks);
    for (int64_t t = 0; t < m.n_tokens; t += kTokens) {
      const int n = static_cast<int>(std::min<int64_t>(m.n_tokens - t, kTokens)), first_tile = std::min(n, kTileRows);
      configure_tiles(first_tile, kPlanes == 2 ? n : n - first_tile, kSub);
      for (int64_t p = 0; p < count; p += 2) {
        const bool both = p + 1 < count;
        wide_tile<kKind, kPlanes>(w + p * blocks, w + (both ? p + 1 : p) * blocks, *m.in, t, n, one, two);
        if (glu) {
          write_glu(m, one, two, (first + p) / 2 * kPanelRows, t, n);
          continue;
        }
        write_tile(m, one, (first + p) * kPanelRows, m.w->rows, t, n);
        if (both) write_tile(m, two, (first + p + 1) * kPanelRows, m.w->rows, t, n);
      }
    }
  }
  _tile_release();
}
