// How each kind of panel lies in memory, as constants that the packer and the kernels read.
//
// Panel p covers rows 16p .. 16p+15 (the last one padded with zero rows). Inside a panel, k runs
// slowest.
//   f32, f16, bf16   for each k: 16 values
//   quantized kinds  for each block of the file's type: a header with the scales of the 16 rows,
//                    then the codes of each 32 k.
// Codes of 32 k: a plane of the low bits, then a plane of the high bits when there are any. A plane
// of n bits has n vectors of 64 bytes. Byte 4r+b of vector w belongs to row r; its bits n*i .. n*i
// + n-1 are those of k = 4 (w + n*i) + b. A code of 4 bits therefore lies as in the file's q4_0 (k
// and k + 16 share a byte), and one vector holds 4 consecutive k of 16 rows once it is shifted and
// masked: what one VPDPBUSD takes. Same bits per weight as the file: nothing is lost and nothing is
// kept twice.
#pragma once

#include <cstdint>

#include "engine/core/dtype.h"

namespace lm {

inline constexpr int kPanelRows = 16;
inline constexpr int kQuantBlock = 32;

enum class PanelKind : uint8_t {
  f32,
  f16,
  bf16,
  q4_0,  // the first quantized kind
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
  mxfp4
};
inline constexpr int kPanelKinds = 16;

// The header in front of a block; every field has the 16 rows one after the other.
enum class Scales : uint8_t {
  none,
  half,      // f16 d
  half_min,  // f16 d, f16 m
  exponent,  // E8M0 byte
  byte,      // f16 d; for each sub-block a signed byte, plus 128
  six,       // f16 d; 6 bits for each sub-block s: low nibbles of s and s+1 in a byte, then the
             // upper pairs of s .. s+3 in a byte; 32 is to be subtracted
  min4,      // f16 d, f16 dmin; for each sub-block a byte: scale (low nibble), minimum
  min6,      // f16 d, f16 dmin; as min4 the low nibbles, then for each two sub-blocks a byte: upper
             // pair of scale, of minimum, the next one's
};
// What a code stands for.
enum class Codebook : uint8_t { linear, iq4, e2m1 };

struct PanelFormat {
  DType dtype;
  int block;  // k under one header
  int sub;    // k under one scale
  Scales scales;
  int low_bits, high_bits;  // of a code, by plane
  int bias;  // value = scale * (code - bias) [+ m or - minimum]; codes of a codebook:
             // after the lookup, which adds it
  Codebook codebook = Codebook::linear;

  constexpr int sub_blocks() const { return block / sub; }
  // Bytes of one panel's header and of its codes for 32 k.
  constexpr int header_bytes() const {
    const int n = sub_blocks();
    switch (scales) {
      case Scales::none:
        return 0;
      case Scales::half:
        return 32;
      case Scales::half_min:
        return 64;
      case Scales::exponent:
        return 16;
      case Scales::byte:
        return 32 + 16 * n;
      case Scales::six:
        return 32 + 12 * n;
      case Scales::min4:
        return 64 + 16 * n;
      case Scales::min6:
        return 64 + 24 * n;
    }
    return 0;
  }
  constexpr int code_bytes() const { return 64 * (low_bits + high_bits); }
  constexpr int block_bytes() const { return header_bytes() + block / kQuantBlock * code_bytes(); }
};

constexpr PanelFormat panel_format(PanelKind kind) {
  using enum Codebook;
  switch (kind) {
    case PanelKind::f32:
      return {DType::f32, 1, 1, Scales::none, 32, 0, 0};
    case PanelKind::f16:
      return {DType::f16, 1, 1, Scales::none, 16, 0, 0};
    case PanelKind::bf16:
      return {DType::bf16, 1, 1, Scales::none, 16, 0, 0};
    case PanelKind::q4_0:
      return {DType::q4_0, 32, 32, Scales::half, 4, 0, 8};
    case PanelKind::q4_1:
      return {DType::q4_1, 32, 32, Scales::half_min, 4, 0, 0};
    case PanelKind::q5_0:
      return {DType::q5_0, 32, 32, Scales::half, 4, 1, 16};
    case PanelKind::q5_1:
      return {DType::q5_1, 32, 32, Scales::half_min, 4, 1, 0};
    case PanelKind::q8_0:
      return {DType::q8_0, 32, 32, Scales::half, 8, 0, 128};
    case PanelKind::q2_k:
      return {DType::q2_k, 256, 16, Scales::min4, 2, 0, 0};
    case PanelKind::q3_k:
      return {DType::q3_k, 256, 16, Scales::six, 2, 1, 4};
    case PanelKind::q4_k:
      return {DType::q4_k, 256, 32, Scales::min6, 4, 0, 0};
    case PanelKind::q5_k:
      return {DType::q5_k, 256, 32, Scales::min6, 4, 1, 0};
    case PanelKind::q6_k:
      return {DType::q6_k, 256, 16, Scales::byte, 4, 2, 32};
    case PanelKind::iq4_nl:
      return {DType::iq4_nl, 32, 32, Scales::half, 4, 0, 128, iq4};
    case PanelKind::iq4_xs:
      return {DType::iq4_xs, 256, 32, Scales::six, 4, 0, 128, iq4};
    case PanelKind::mxfp4:
      return {DType::mxfp4, 32, 32, Scales::exponent, 4, 0, 12, e2m1};
  }
  return {DType::f32, 1, 1, Scales::none, 32, 0, 0};
}

constexpr bool is_quantized(PanelKind kind) {
  return kind >= PanelKind::q4_0;
}

}  // namespace lm
