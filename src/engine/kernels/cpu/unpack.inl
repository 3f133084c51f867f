// Quantized panels taken apart, compiled once for each instruction set: bytes of codes and the scales of 16 rows.
// Included by kernels_<isa>.cpp inside the namespace of that instruction set, before matmul.inl.

// Weights are asked for this many bytes ahead: the hardware's streams end with each page of 4 KiB. Into L2: L1 has too few
// requests under way for memory's latency (15.7 -> 14.5 GB/s with one token, where L2 gives 17).
constexpr int kPrefetch = 8192;
inline void prefetch(const uint8_t* p) { __builtin_prefetch(p, 0, 2); }

// A plane of kBits bits of 32 k x 16 rows, moved to bit kTo of the codes.
template <int kBits, int kTo, int i = 0>
void add_plane(const uint8_t* plane, Codes* w) {
  if constexpr (i < 8 / kBits) {
    for (int j = 0; j < kBits; ++j) {
      const Codes packed = Codes::load(plane + 64 * j);
      Codes& code = w[j + kBits * i];
      if constexpr (kBits == 8) code = packed;
      else if constexpr (kTo == 0) code = packed.template field<kBits * i, kBits, 0>();
      else code = code.template with<kBits * i, kBits, kTo>(packed);
    }
    add_plane<kBits, kTo, i + 1>(plane, w);
  }
}

// iq4_nl's levels plus 128, E2M1 times two plus 12: unsigned, as dot4 wants them.
alignas(16) constexpr uint8_t kIq4Codes[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};
alignas(16) constexpr uint8_t kE2m1Codes[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

// w[j]: the codes of k = 4j .. 4j+3.
template <PanelKind kKind>
void unpack_codes(const uint8_t* planes, Codes* w) {
  constexpr PanelFormat f = panel_format(kKind);
  add_plane<f.low_bits, 0>(planes, w);
  if constexpr (f.high_bits > 0) add_plane<f.high_bits, f.low_bits>(planes + 64 * f.low_bits, w);
  if constexpr (f.codebook != Codebook::linear)
    for (int j = 0; j < 8; ++j) w[j] = w[j].lookup(f.codebook == Codebook::iq4 ? kIq4Codes : kE2m1Codes);
}

// Scales of block j (32 k) under a header, and what is to be added for each unit of the input, where the kind has such.
template <PanelKind kKind>
void unpack_scales(const uint8_t* header, int j, RowsF* scale, RowsF* offset) {
  constexpr PanelFormat f = panel_format(kKind);
  constexpr int n = f.sub_blocks(), kSubs = kQuantBlock / f.sub;
  if constexpr (f.scales == Scales::exponent) {
    scale[0] = RowsF::power(RowBytes::load(header));
    return;
  } else {
    const RowsF d = RowsF::load_f16(header);
    if constexpr (f.scales == Scales::half || f.scales == Scales::half_min) scale[0] = d;
    if constexpr (f.scales == Scales::half_min) offset[0] = RowsF::load_f16(header + 32);
    for (int i = 0; i < kSubs; ++i) {
      const int s = j * kSubs + i;
      const auto bytes = [&](int at) { return RowBytes::load(header + 16 * at); };
      if constexpr (f.scales == Scales::byte) {
        scale[i] = d * RowsF::of(bytes(2 + s), 128);
      } else if constexpr (f.scales == Scales::six) {
        const RowBytes low = bytes(2 + s / 2).field(s % 2 * 4, 4, 0), high = bytes(2 + n / 2 + s / 4);
        scale[i] = d * RowsF::of(low | high.field(s % 4 * 2, 2, 4), 32);
      } else if constexpr (f.scales == Scales::min4 || f.scales == Scales::min6) {
        const RowBytes both = bytes(4 + s);
        RowBytes multiplier = both.field(0, 4, 0), minimum = both.field(4, 4, 0);
        if constexpr (f.scales == Scales::min6) {
          const RowBytes high = bytes(4 + n + s / 2);
          multiplier = multiplier | high.field(s % 2 * 4, 2, 4);
          minimum = minimum | high.field(s % 2 * 4 + 2, 2, 4);
        }
        scale[i] = d * RowsF::of(multiplier, 0);
        offset[i] = -(RowsF::load_f16(header + 32) * RowsF::of(minimum, 0));
      }
    }
  }
}

// A panel's 32 k, ready for products.
template <PanelKind kKind>
struct Unpacked {
  static constexpr int kSubs = kQuantBlock / panel_format(kKind).sub;
  Codes codes[8];
  RowsF scale[kSubs], offset[kSubs];
};

// f(number of the block, its Unpacked) for each 32 k of a panel.
template <PanelKind kKind, typename F>
void for_blocks(const uint8_t* panel, int64_t blocks, F&& f) {
  constexpr PanelFormat kFormat = panel_format(kKind);
  constexpr int kBlocks = kFormat.block / kQuantBlock;
  for (int64_t b = 0; b < blocks; panel += kFormat.block_bytes())
    for (int j = 0; j < kBlocks; ++j, ++b) {
      Unpacked<kKind> block;
      unpack_scales<kKind>(panel, j, block.scale, block.offset);
      const uint8_t* codes = panel + kFormat.header_bytes() + j * kFormat.code_bytes();
      unpack_codes<kKind>(codes, block.codes);
      for (int i = 0; i < kFormat.block_bytes() / kBlocks; i += 64) prefetch(codes + kPrefetch + i);
      f(b, block);
    }
}
