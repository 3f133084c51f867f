// Matrix products over weight panels, compiled once for each instruction set.
//
// A tile is 16 rows x NC tokens. For each block of 32 k the codes are unpacked once and used for all NC tokens, so a tile
// reads its panel once however many tokens there are; the k order is the same for every NC, which makes the result of a
// token independent of the batch it is in. Bytes moved per token: the panel's bytes / NC, plus C bytes of activations.
// Included by kernels_<isa>.cpp inside the namespace of that instruction set.

constexpr int kTileTokens = 8;       // quantized kinds
constexpr int kChains = 2;  // sums of a token of the others: two cover FMA latency well enough for one token that waits for memory
constexpr int kTileTokensPlain = Vec::N >= 16 ? 12 : 6;  // as many as there are registers for

// What a block of 32 k adds to one token's 16 sums. i: the block's number in the activations' scales.
// Of one plane of activations, or two.
template <PanelKind kKind, int kPlanes>
RowsF add_block(RowsF sum, const Codes* w, const RowsF* scale, const RowsF* offset, const Activations& a, int64_t at, int64_t i) {
  constexpr PanelFormat f = panel_format(kKind);
  constexpr bool kByte = f.bias == 128;
  constexpr int kSubs = kQuantBlock / f.sub, kGroups = 8 / kSubs;
  constexpr int32_t kBias = kByte ? kByteBias : f.bias;
  const auto dot = [&](Rows& acc, int j, const int8_t* plane) {
    if constexpr (kByte) dot4_biased(acc, w[j], plane + at + 4 * j);
    else dot4(acc, w[j], plane + at + 4 * j);
  };
  for (int s = 0; s < kSubs; ++s) {
    const int32_t total = kSubs == 2 ? a.sum[2 * i + s] : a.sum[2 * i] + a.sum[2 * i + 1];
    Rows rows = Rows::set(kBias ? -kBias * total : 0);
    if constexpr (kPlanes == 1) {
      for (int j = s * kGroups; j < (s + 1) * kGroups; ++j) dot(rows, j, a.q);
    } else {
      Rows high = Rows::set(0);
      for (int j = s * kGroups; j < (s + 1) * kGroups; ++j) {
        dot(high, j, a.q);
        dot(rows, j, a.q_low);
      }
      rows = join(high, rows);
    }
    sum = add_scaled(sum, scale[s], rows, a.d[i]);
    if constexpr (f.scales == Scales::half_min || f.scales == Scales::min6) sum = add_scaled(sum, offset[s], a.dsum[i]);
    if constexpr (f.scales == Scales::min4) sum = add_scaled(sum, offset[s], a.d[i] * static_cast<float>(total));
  }
  return sum;
}

template <PanelKind kKind, int kPlanes, int NC>
void quant_tile(const uint8_t* panel, const Activations& a, int64_t t0, float* out) {
  const int64_t blocks = a.cols / kQuantBlock;
  RowsF sum[NC];
  for (int c = 0; c < NC; ++c) sum[c] = RowsF::zero();
  for_blocks<kKind>(panel, blocks, [&](int64_t b, const Unpacked<kKind>& w) {
    for (int c = 0; c < NC; ++c)
      sum[c] = add_block<kKind, kPlanes>(sum[c], w.codes, w.scale, w.offset, a, (t0 + c) * a.stride + b * kQuantBlock, (t0 + c) * blocks + b);
  });
  for (int c = 0; c < NC; ++c) sum[c].store(out + c * kPanelRows);
}

// The same of a panel that is unpacked already.
template <PanelKind kKind, int kPlanes, int NC>
void unpacked_tile(const Unpacked<kKind>* w, const Activations& a, int64_t t0, float* out) {
  const int64_t blocks = a.cols / kQuantBlock;
  RowsF sum[NC];
  for (int c = 0; c < NC; ++c) sum[c] = RowsF::zero();
  for (int64_t b = 0; b < blocks; ++b)
    for (int c = 0; c < NC; ++c)
      sum[c] = add_block<kKind, kPlanes>(sum[c], w[b].codes, w[b].scale, w[b].offset, a, (t0 + c) * a.stride + b * kQuantBlock, (t0 + c) * blocks + b);
  for (int c = 0; c < NC; ++c) sum[c].store(out + c * kPanelRows);
}

template <PanelKind kKind>
Vec load_weights(const void* panel, int64_t i) {
  if constexpr (kKind == PanelKind::f32) return Vec::load(static_cast<const float*>(panel) + i);
  else if constexpr (kKind == PanelKind::f16) return Vec::load_f16(static_cast<const uint16_t*>(panel) + i);
  else return Vec::load_bf16(static_cast<const uint16_t*>(panel) + i);
}

template <PanelKind kKind, int NC>
void plain_tile(const void* panel, const Activations& a, int64_t t0, float* out) {
  constexpr int kRowBytes = kPanelRows * panel_format(kKind).low_bits / 8;
  const float* x = a.x + t0 * a.stride;
  for (int r = 0; r < kPanelRows; r += Vec::N) {
    Vec sum[NC][kChains];
    for (int c = 0; c < NC; ++c)
      for (Vec& s : sum[c]) s = Vec::set(0.0f);
    int64_t k = 0;
    for (; k + kChains <= a.cols; k += kChains) {
      for (int i = 0; r == 0 && NC < kTileTokensPlain && i < kChains * kRowBytes; i += 64)
        prefetch(static_cast<const uint8_t*>(panel) + k * kRowBytes + kPrefetch + i);
      for (int u = 0; u < kChains; ++u) {
        const Vec w = load_weights<kKind>(panel, (k + u) * kPanelRows + r);
        for (int c = 0; c < NC; ++c) sum[c][u] = fma(w, Vec::set(x[c * a.stride + k + u]), sum[c][u]);
      }
    }
    for (; k < a.cols; ++k) {
      const Vec w = load_weights<kKind>(panel, k * kPanelRows + r);
      for (int c = 0; c < NC; ++c) sum[c][0] = fma(w, Vec::set(x[c * a.stride + k]), sum[c][0]);
    }
    for (int c = 0; c < NC; ++c) (sum[c][0] + sum[c][1]).store(out + c * kPanelRows + r);
  }
}

// f(std::integral_constant<int, n>()) for n of 1 .. kMost.
template <int kMost, typename F>
void with_tokens(int n, F&& f) {
  if constexpr (kMost == 1) f(std::integral_constant<int, 1>());
  else if (n >= kMost) f(std::integral_constant<int, kMost>());
  else with_tokens<kMost - 1>(n, f);
}

template <PanelKind kKind>
void tile(const std::byte* panel, const Activations& a, int64_t t0, int n, float* out) {
  const auto* p = reinterpret_cast<const uint8_t*>(panel);
  if constexpr (!is_quantized(kKind))
    with_tokens<kTileTokensPlain>(n, [&](auto count) { plain_tile<kKind, count>(p, a, t0, out); });
  else if (a.q_low == nullptr)
    with_tokens<kTileTokens>(n, [&](auto count) { quant_tile<kKind, 1, count>(p, a, t0, out); });
  else
    with_tokens<kTileTokens>(n, [&](auto count) { quant_tile<kKind, 2, count>(p, a, t0, out); });
}

template <PanelKind kKind>
void tile(const Unpacked<kKind>* panel, const Activations& a, int64_t t0, int n, float* out) {
  if (a.q_low == nullptr)
    with_tokens<kTileTokens>(n, [&](auto count) { unpacked_tile<kKind, 1, count>(panel, a, t0, out); });
  else
    with_tokens<kTileTokens>(n, [&](auto count) { unpacked_tile<kKind, 2, count>(panel, a, t0, out); });
}

Vec silu(Vec x) { return x / (Vec::set(1.0f) + exp(Vec::set(0.0f) - x)); }

// 0.5 x (1 + tanh(u)) = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3)     (Hendrycks & Gimpel 2016)
Vec gelu_tanh(Vec x) {
  const Vec u = fma(x * x * x, Vec::set(0.044715f), x) * Vec::set(-2.0f * 0.7978845608f);
  return x / (Vec::set(1.0f) + exp(u));
}

// Sends one tile to memory. Output rows row .. row+15 of the tokens t0 .. t0+n-1; rows beyond `rows` are padding.
void write_tile(const MatmulArgs& m, const float* values, int64_t row, int64_t rows, int64_t t0, int n) {
  const int64_t width = rows - row < kPanelRows ? rows - row : kPanelRows;
  for (int c = 0; c < n; ++c) {
    float* out = m.out + (t0 + c) * m.ldo + row;
    const float* in = values + c * kPanelRows;
    for (int64_t r = 0; r < width; ++r) {
      const float value = m.bias ? in[r] + m.bias[row + r] : in[r];
      out[r] = m.epilogue == Epilogue::add ? out[r] + value : value;
    }
  }
}

void write_glu(const MatmulArgs& m, const float* gate, const float* up, int64_t row, int64_t t0, int n) {
  for (int c = 0; c < n; ++c)
    for (int r = 0; r < kPanelRows; r += Vec::N) {
      const Vec g = Vec::load(gate + c * kPanelRows + r);
      const Vec h = m.epilogue == Epilogue::swiglu ? silu(g) : gelu_tanh(g);
      (h * Vec::load(up + c * kPanelRows + r)).store(m.out + (t0 + c) * m.ldo + row + r);
    }
}

#if defined(LM_TILES)
#include "engine/kernels/cpu/matmul_wide.inl"
#endif

// f16 and bf16 panels for many tokens: two panels become f32 once, in L2, and the tiles read those. The numbers are the same.
template <PanelKind kKind>
const std::byte* widened(const std::byte* panels, int64_t count, int64_t cols) {
  static thread_local AlignedBuffer scratch;
  const int64_t n = count * cols * kPanelRows;
  if (static_cast<int64_t>(scratch.size()) < n * 4) scratch = AlignedBuffer(static_cast<size_t>(n) * 4);
  auto* const out = reinterpret_cast<float*>(scratch.data());
  for (int64_t i = 0; i < n; i += Vec::N) load_weights<kKind>(panels, i).store(out + i);
  return scratch.data();
}

// Quantized panels for many tokens: `count` of them are unpacked once, for all tokens.
template <PanelKind kKind>
const Unpacked<kKind>* unpacked(const std::byte* panels, int64_t count, int64_t panel_bytes, int64_t blocks) {
  static thread_local AlignedBuffer scratch;
  const auto bytes = static_cast<size_t>(count * blocks) * sizeof(Unpacked<kKind>);
  if (scratch.size() < bytes) scratch = AlignedBuffer(bytes);
  auto* const out = reinterpret_cast<Unpacked<kKind>*>(scratch.data());
  for (int64_t p = 0; p < count; ++p)
    for_blocks<kKind>(reinterpret_cast<const uint8_t*>(panels) + p * panel_bytes, blocks,
                      [&](int64_t b, const Unpacked<kKind>& w) { out[p * blocks + b] = w; });
  return out;
}

// kFrom: the kind of what `panel` holds: the first panel, p, of one output or of a gate and its up; `step` Panels to the second.
template <PanelKind kFrom, typename Panel>
void matmul_panel(const MatmulArgs& m, int64_t p, const Panel* panel, int64_t step) {
  constexpr int kTokens = !is_quantized(kFrom) ? kTileTokensPlain : kTileTokens;
  const bool glu = m.epilogue == Epilogue::swiglu || m.epilogue == Epilogue::geglu;
  alignas(64) float a[kTokens * kPanelRows], b[kTokens * kPanelRows];
  for (int64_t t = 0; t < m.n_tokens; t += kTokens) {
    const int n = static_cast<int>(m.n_tokens - t < kTokens ? m.n_tokens - t : kTokens);
    tile<kFrom>(panel, *m.in, t, n, a);
    if (glu) {
      tile<kFrom>(panel + step, *m.in, t, n, b);
      write_glu(m, a, b, p / 2 * kPanelRows, t, n);
    } else {
      write_tile(m, a, p * kPanelRows, m.w->rows, t, n);
    }
  }
}

template <PanelKind kKind>
void matmul_kind(const MatmulArgs& m) {
#if defined(LM_TILES)
  if constexpr (is_quantized(kKind))
    if (m.n_tokens > kTileTokens) return m.in->q_low != nullptr ? wide_matmul<kKind, 2>(m) : wide_matmul<kKind, 1>(m);
#endif
  const int64_t bytes = m.w->panel_bytes, cols = m.in->cols;
  const int64_t step = m.epilogue == Epilogue::swiglu || m.epilogue == Epilogue::geglu ? 2 : 1;
  for (int64_t p = m.panel_begin; p < m.panel_end; p += step) {
    const std::byte* panel = m.w->data.data() + p * bytes;
    if constexpr (is_quantized(kKind)) {
      if (m.n_tokens > 2 * kTileTokens) {
        const int64_t blocks = cols / kQuantBlock;
        matmul_panel<kKind>(m, p, unpacked<kKind>(panel, step, bytes, blocks), blocks);
        continue;
      }
    } else if constexpr (kKind != PanelKind::f32) {
      if (m.n_tokens > 2 * kTileTokensPlain) {
        matmul_panel<PanelKind::f32>(m, p, widened<kKind>(panel, step, cols), cols * kPanelRows * 4);
        continue;
      }
    }
    matmul_panel<kKind>(m, p, panel, bytes);
  }
}

template <int... kKinds>
constexpr auto matmul_table(std::integer_sequence<int, kKinds...>) {
  return std::array{matmul_kind<static_cast<PanelKind>(kKinds)>...};
}

void matmul(const MatmulArgs& m) {
  static constexpr auto kTable = matmul_table(std::make_integer_sequence<int, kPanelKinds>());
  kTable[static_cast<size_t>(m.w->kind)](m);
}
