// Matrix products over weight panels, compiled once for each instruction set.
//
// A tile is 16 rows x NC tokens. For each block of 32 k the codes are unpacked once and used for all NC tokens, so a tile
// reads its panel once however many tokens there are; the k order is the same for every NC, which makes the result of a
// token independent of the batch it is in. Bytes moved per token: the panel's bytes / NC, plus C bytes of activations.
// Included by kernels_<isa>.cpp inside the namespace of that instruction set.

constexpr int kTileTokens = 8;       // quantized kinds
constexpr int kTileTokensPlain = 4;  // four chains each, so that one token alone is not bound by FMA latency

template <PanelKind kKind, int NC>
void quant_tile(const uint8_t* panel, const Activations& a, int64_t t0, float* out) {
  constexpr bool kByte = kKind == PanelKind::q8_0, kMin = kKind == PanelKind::q4_1;
  constexpr int kScaleBytes = kMin ? 64 : 32, kGroups = 8, kCodeBytes = kByte ? 512 : 256;
  constexpr int32_t kBias = kByte ? kByteBias : kMin ? 0 : 8;
  const int64_t blocks = a.cols / kQuantBlock;
  RowsF sum[NC];
  for (int c = 0; c < NC; ++c) sum[c] = RowsF::zero();
  for (int64_t b = 0; b < blocks; ++b, panel += kScaleBytes + kCodeBytes) {
    const RowsF scale = RowsF::load_f16(panel);
    const uint8_t* codes = panel + kScaleBytes;
    Codes w[kGroups];
    if constexpr (kByte) {
      for (int j = 0; j < 8; ++j) w[j] = Codes::load(codes + 64 * j);
    } else {
      for (int j = 0; j < 4; ++j) {
        const Codes packed = Codes::load(codes + 64 * j);
        w[j] = packed.low();
        w[j + 4] = packed.high();
      }
    }
    for (int c = 0; c < NC; ++c) {
      const int64_t i = (t0 + c) * blocks + b;
      const int64_t at = (t0 + c) * a.stride + b * kQuantBlock;
      const int8_t *q = a.q + at, *q_low = a.q_low + at;
      Rows high = Rows::set(0), low = Rows::set(kBias ? -kBias * a.sum[i] : 0);
      for (int j = 0; j < kGroups; ++j) {
        if constexpr (kByte) {
          dot4_biased(high, w[j], q + 4 * j);
          dot4_biased(low, w[j], q_low + 4 * j);
        } else {
          dot4(high, w[j], q + 4 * j);
          dot4(low, w[j], q_low + 4 * j);
        }
      }
      sum[c] = add_scaled(sum[c], scale, join(high, low), a.d[i]);
      if constexpr (kMin) sum[c] = add_scaled(sum[c], RowsF::load_f16(panel + 32), a.dsum[i]);
    }
  }
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
  constexpr int kChains = 4;
  const float* x = a.x + t0 * a.stride;
  for (int r = 0; r < kPanelRows; r += Vec::N) {
    Vec sum[NC][kChains];
    for (int c = 0; c < NC; ++c)
      for (Vec& s : sum[c]) s = Vec::set(0.0f);
    int64_t k = 0;
    for (; k + kChains <= a.cols; k += kChains)
      for (int u = 0; u < kChains; ++u) {
        const Vec w = load_weights<kKind>(panel, (k + u) * kPanelRows + r);
        for (int c = 0; c < NC; ++c) sum[c][u] = fma(w, Vec::set(x[c * a.stride + k + u]), sum[c][u]);
      }
    for (; k < a.cols; ++k) {
      const Vec w = load_weights<kKind>(panel, k * kPanelRows + r);
      for (int c = 0; c < NC; ++c) sum[c][0] = fma(w, Vec::set(x[c * a.stride + k]), sum[c][0]);
    }
    for (int c = 0; c < NC; ++c) ((sum[c][0] + sum[c][1]) + (sum[c][2] + sum[c][3])).store(out + c * kPanelRows + r);
  }
}

template <PanelKind kKind>
void tile(const std::byte* panel, const Activations& a, int64_t t0, int n, float* out) {
  const auto* p = reinterpret_cast<const uint8_t*>(panel);
  if constexpr (kKind < PanelKind::q4_0) {
    switch (n) {
      case 1: return plain_tile<kKind, 1>(p, a, t0, out);
      case 2: return plain_tile<kKind, 2>(p, a, t0, out);
      case 3: return plain_tile<kKind, 3>(p, a, t0, out);
      default: return plain_tile<kKind, 4>(p, a, t0, out);
    }
  } else {
    switch (n) {
      case 1: return quant_tile<kKind, 1>(p, a, t0, out);
      case 2: return quant_tile<kKind, 2>(p, a, t0, out);
      case 3: return quant_tile<kKind, 3>(p, a, t0, out);
      case 4: return quant_tile<kKind, 4>(p, a, t0, out);
      case 5: return quant_tile<kKind, 5>(p, a, t0, out);
      case 6: return quant_tile<kKind, 6>(p, a, t0, out);
      case 7: return quant_tile<kKind, 7>(p, a, t0, out);
      default: return quant_tile<kKind, 8>(p, a, t0, out);
    }
  }
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

template <PanelKind kKind>
void matmul_kind(const MatmulArgs& m) {
  constexpr int kTokens = kKind < PanelKind::q4_0 ? kTileTokensPlain : kTileTokens;
  const bool glu = m.epilogue == Epilogue::swiglu || m.epilogue == Epilogue::geglu;
  alignas(64) float a[kTokens * kPanelRows], b[kTokens * kPanelRows];
  const std::byte* base = m.w->data.data();
  for (int64_t p = m.panel_begin; p < m.panel_end; p += glu ? 2 : 1)
    for (int64_t t = 0; t < m.n_tokens; t += kTokens) {
      const int n = static_cast<int>(m.n_tokens - t < kTokens ? m.n_tokens - t : kTokens);
      tile<kKind>(base + p * m.w->panel_bytes, *m.in, t, n, a);
      if (glu) {
        tile<kKind>(base + (p + 1) * m.w->panel_bytes, *m.in, t, n, b);
        write_glu(m, a, b, p / 2 * kPanelRows, t, n);
      } else {
        write_tile(m, a, p * kPanelRows, m.w->rows, t, n);
      }
    }
}

void matmul(const MatmulArgs& m) {
  switch (m.w->kind) {
    case PanelKind::f32: return matmul_kind<PanelKind::f32>(m);
    case PanelKind::f16: return matmul_kind<PanelKind::f16>(m);
    case PanelKind::bf16: return matmul_kind<PanelKind::bf16>(m);
    case PanelKind::q4_0: return matmul_kind<PanelKind::q4_0>(m);
    case PanelKind::q4_1: return matmul_kind<PanelKind::q4_1>(m);
    case PanelKind::q8_0: return matmul_kind<PanelKind::q8_0>(m);
  }
}
