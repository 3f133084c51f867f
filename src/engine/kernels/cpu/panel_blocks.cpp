#include "engine/kernels/cpu/panel_blocks.h"

#include <array>
#include <utility>

#include "engine/kernels/cpu/dequant/blocks.h"

namespace lm {
namespace {

// 32 codes in 16 bytes, low nibbles first.
void nibbles(const uint8_t* in, uint8_t* code) {
  for (int i = 0; i < 16; ++i) {
    code[i] = in[i] & 15;
    code[i + 16] = in[i] >> 4;
  }
}

// Fifth bits of 32 codes, one word. The product puts bit i of four at bit 8 i.
void fifth_bits(uint32_t high, uint8_t* code) {
  for (int i = 0; i < 32; i += 4) {
    uint32_t four = 0;
    std::memcpy(&four, code + i, 4);
    four |= ((((high >> i) & 15) * 0x00204081u) & 0x01010101u) << 4;
    std::memcpy(code + i, &four, 4);
  }
}

// Bits `shift` .. of 32 bytes, for one sub-block of 32 codes of a k-type.
void field(const uint8_t* in, int shift, int mask, int to, uint8_t* code) {
  for (int i = 0; i < 32; ++i) code[i] |= static_cast<uint8_t>(((in[i] >> shift) & mask) << to);
}

void scales_and_minimums(const uint8_t* in, QuantBlock* q) {
  for (int j = 0; j < 8; ++j) {
    const ScaleMin s = scale_min_k4(in, j);
    q->scale[j] = s.scale;
    q->min[j] = s.min;
  }
}

// The kind is a parameter of the templates: loading a model is as fast as this loop.
template <PanelKind kind>
void read_k_block(const uint8_t* b, QuantBlock* q) {
  std::memset(q->code, 0, sizeof(q->code));
  if (kind == PanelKind::q4_k || kind == PanelKind::q5_k) {
    q->d = u16_at(b), q->m = u16_at(b + 2);
    scales_and_minimums(b + 4, q);
  } else if (kind == PanelKind::q6_k) {
    q->d = u16_at(b + 208);
    for (int j = 0; j < 16; ++j) q->scale[j] = b[192 + j] ^ 0x80;
  } else if (kind == PanelKind::q3_k) {
    q->d = u16_at(b + 108);
    for (int j = 0; j < 16; ++j) q->scale[j] = static_cast<uint8_t>(scale_q3k(b + 96, j));
  } else if (kind == PanelKind::q2_k) {
    q->d = u16_at(b + 80), q->m = u16_at(b + 82);
    for (int j = 0; j < 16; ++j) q->scale[j] = b[j] & 15, q->min[j] = b[j] >> 4;
  } else {  // iq4_xs
    q->d = u16_at(b);
    for (int j = 0; j < 8; ++j)
      q->scale[j] = static_cast<uint8_t>(((b[4 + j / 2] >> (j % 2 * 4)) & 15) |
                                         ((u16_at(b + 2) >> (2 * j)) & 3) << 4);
  }
  for (int j = 0; j < 8; ++j) {
    uint8_t* code = q->code + j * 32;
    const int half = j / 4, quarter = j % 4;
    switch (kind) {
      case PanelKind::q2_k:
        field(b + 16 + half * 32, 2 * quarter, 3, 0, code);
        break;
      case PanelKind::q3_k:
        field(b + 32 + half * 32, 2 * quarter, 3, 0, code);
        field(b, j, 1, 2, code);
        break;
      case PanelKind::q4_k:
        field(b + 16 + j / 2 * 32, j % 2 * 4, 15, 0, code);
        break;
      case PanelKind::q5_k:
        field(b + 48 + j / 2 * 32, j % 2 * 4, 15, 0, code);
        field(b + 16, j, 1, 4, code);
        break;
      case PanelKind::q6_k:
        field(b + half * 64 + quarter % 2 * 32, quarter / 2 * 4, 15, 0, code);
        field(b + 128 + half * 32, quarter * 2, 3, 4, code);
        break;
      default:  // iq4_xs
        nibbles(b + 8 + j * 16, code);
    }
  }
}

// Four codes, one in each byte.
constexpr uint32_t spread(int mask) {
  return static_cast<uint32_t>(mask) * 0x01010101u;
}

// Bits from .. from + bits - 1 of 32 codes into one lane of a plane, or back.
template <int bits, int from>
void put_plane(const uint32_t* groups, uint8_t* lane) {
  constexpr uint32_t kMask = spread((1 << bits) - 1);
  for (int w = 0; w < bits; ++w) {
    uint32_t word = 0;
    for (int i = 0; i < 8 / bits; ++i) word |= ((groups[w + bits * i] >> from) & kMask) << bits * i;
    std::memcpy(lane + 64 * w, &word, 4);
  }
}
void get_plane(const uint8_t* lane, int bits, int from, uint32_t* groups) {
  const uint32_t mask = spread((1 << bits) - 1);
  for (int w = 0; w < bits; ++w) {
    const uint32_t word = u32_at(lane + 64 * w);
    for (int i = 0; i < 8 / bits; ++i) groups[w + bits * i] |= ((word >> bits * i) & mask) << from;
  }
}

void put_half(uint8_t* panel, int r, uint16_t value) {
  std::memcpy(panel + 2 * r, &value, 2);
}

void put_bits(uint8_t* byte, int value, int shift) {
  *byte = static_cast<uint8_t>(*byte | value << shift);
}

template <PanelKind kind>
void put_header(const QuantBlock& q, int r, uint8_t* panel) {
  constexpr PanelFormat f = panel_format(kind);
  if (f.scales == Scales::exponent) {
    panel[r] = static_cast<uint8_t>(q.d);
    return;
  }
  put_half(panel, r, q.d);
  if (f.scales == Scales::half) return;
  const bool min = f.scales != Scales::byte && f.scales != Scales::six;
  if (min) put_half(panel + 32, r, q.m);
  uint8_t* lane = panel + (min ? 64 : 32) + r;
  const int n = f.sub_blocks();
  for (int s = 0; s < n && f.scales != Scales::half_min; ++s) {
    if (f.scales == Scales::byte) {
      lane[16 * s] = q.scale[s];
    } else if (f.scales == Scales::six) {
      put_bits(lane + 16 * (s / 2), q.scale[s] & 15, 4 * (s % 2));
      put_bits(lane + 16 * (n / 2 + s / 4), q.scale[s] >> 4, 2 * (s % 4));
    } else {
      lane[16 * s] = static_cast<uint8_t>((q.scale[s] & 15) | (q.min[s] & 15) << 4);
      if (f.scales == Scales::min6)
        put_bits(lane + 16 * (n + s / 2), q.scale[s] >> 4 | q.min[s] >> 4 << 2, 4 * (s % 2));
    }
  }
}

void get_header(const PanelFormat& f, const uint8_t* panel, int r, QuantBlock* q) {
  if (f.scales == Scales::exponent) {
    q->d = panel[r];
    return;
  }
  q->d = u16_at(panel + 2 * r);
  if (f.scales == Scales::half) return;
  const bool min = f.scales != Scales::byte && f.scales != Scales::six;
  if (min) q->m = u16_at(panel + 32 + 2 * r);
  const uint8_t* lane = panel + (min ? 64 : 32) + r;
  const int n = f.sub_blocks();
  for (int s = 0; s < n && f.scales != Scales::half_min; ++s) {
    if (f.scales == Scales::byte) {
      q->scale[s] = lane[16 * s];
    } else if (f.scales == Scales::six) {
      q->scale[s] = static_cast<uint8_t>(((lane[16 * (s / 2)] >> (4 * (s % 2))) & 15) |
                                         ((lane[16 * (n / 2 + s / 4)] >> (2 * (s % 4))) & 3) << 4);
    } else {
      const int high = f.scales == Scales::min6 ? lane[16 * (n + s / 2)] >> (4 * (s % 2)) : 0;
      q->scale[s] = static_cast<uint8_t>((lane[16 * s] & 15) | (high & 3) << 4);
      q->min[s] = static_cast<uint8_t>(lane[16 * s] >> 4 | (high & 12) << 2);
    }
  }
}

// Takes a block of the file apart.
template <PanelKind kind>
void read_block(const uint8_t* b, QuantBlock* q) {
  switch (kind) {
    case PanelKind::q4_0:
    case PanelKind::iq4_nl:
      q->d = u16_at(b);
      return nibbles(b + 2, q->code);
    case PanelKind::q4_1:
      q->d = u16_at(b), q->m = u16_at(b + 2);
      return nibbles(b + 4, q->code);
    case PanelKind::q5_0:
      q->d = u16_at(b);
      nibbles(b + 6, q->code);
      return fifth_bits(u32_at(b + 2), q->code);
    case PanelKind::q5_1:
      q->d = u16_at(b), q->m = u16_at(b + 2);
      nibbles(b + 8, q->code);
      return fifth_bits(u32_at(b + 4), q->code);
    case PanelKind::q8_0:
      q->d = u16_at(b);
      for (int i = 0; i < 32; ++i) q->code[i] = b[2 + i] ^ 0x80;
      return;
    case PanelKind::mxfp4:
      q->d = b[0];
      return nibbles(b + 1, q->code);
    default:
      return read_k_block<kind>(b, q);
  }
}

template <PanelKind kind>
void pack_row_of(const uint8_t* in, int64_t blocks, int r, uint8_t* panel) {
  if constexpr (is_quantized(kind)) {
    constexpr PanelFormat f = panel_format(kind);
    const int64_t step = dtype_info(f.dtype).block_bytes;
    QuantBlock block;
    for (int64_t b = 0; b < blocks; ++b, in += step, panel += f.block_bytes()) {
      read_block<kind>(in, &block);
      put_header<kind>(block, r, panel);
      uint8_t* lane = panel + f.header_bytes() + 4 * r;
      for (int at = 0; at < f.block; at += kQuantBlock, lane += f.code_bytes()) {
        uint32_t groups[8];
        std::memcpy(groups, block.code + at, 32);
        put_plane<f.low_bits, 0>(groups, lane);
        if constexpr (f.high_bits > 0)
          put_plane<f.high_bits, f.low_bits>(groups, lane + 64 * f.low_bits);
      }
    }
  }
}

template <int... kKinds>
constexpr auto pack_table(std::integer_sequence<int, kKinds...>) {
  return std::array{pack_row_of<static_cast<PanelKind>(kKinds)>...};
}

}  // namespace

void pack_row(PanelKind kind, const uint8_t* in, int64_t blocks, int r, uint8_t* panel) {
  static constexpr auto kTable = pack_table(std::make_integer_sequence<int, kPanelKinds>());
  kTable[static_cast<size_t>(kind)](in, blocks, r, panel);
}

void get_block(const PanelFormat& f, const uint8_t* panel, int r, QuantBlock* q) {
  get_header(f, panel, r, q);
  const uint8_t* lane = panel + f.header_bytes() + 4 * r;
  for (int at = 0; at < f.block; at += kQuantBlock, lane += f.code_bytes()) {
    uint32_t groups[8] = {};
    get_plane(lane, f.low_bits, 0, groups);
    if (f.high_bits > 0) get_plane(lane + 64 * f.low_bits, f.high_bits, f.low_bits, groups);
    std::memcpy(q->code + at, groups, 32);
  }
}

void block_to_f32(const PanelFormat& f, const QuantBlock& q, float* out) {
  const float d =
      f.scales == Scales::exponent ? e8m0_half(static_cast<uint8_t>(q.d)) : half_to_float(q.d);
  const float m = half_to_float(q.m);
  for (int i = 0; i < f.block; ++i) {
    const int s = i / f.sub;
    float scale = d, minimum = 0.0f;
    if (f.scales == Scales::half_min) minimum = -m;
    if (f.scales == Scales::byte) scale = d * static_cast<float>(q.scale[s] - 128);
    if (f.scales == Scales::six) scale = d * static_cast<float>(q.scale[s] - 32);
    if (f.scales == Scales::min4 || f.scales == Scales::min6) {
      scale = d * static_cast<float>(q.scale[s]);
      minimum = m * static_cast<float>(q.min[s]);
    }
    const int code = f.codebook == Codebook::iq4    ? kIq4Levels[q.code[i]]
                     : f.codebook == Codebook::e2m1 ? kE2m1Doubled[q.code[i]]
                                                    : q.code[i] - f.bias;
    out[i] = scale * static_cast<float>(code) - minimum;
  }
}

}  // namespace lm
