// Weight matrices as the kernels read them: panels of 16 output rows, interleaved so that one
// vector holds the same position of all 16 rows. A dot product then needs no horizontal sums, and
// one layout serves every column count.
//
// Panel p covers rows 16p .. 16p+15 (the last one padded with zero rows). Inside a panel, k runs
// slowest:
//   f32, f16, bf16   for each k: 16 values
//   q4 (q4_0, q4_1)  for each block of 32 k: 16 f16 scales d, [q4_1: 16 f16 minimums m], then 4 x
//   64 bytes; byte 4r+b of
//                    group j holds the codes of row r for k = 4j+b (low nibble) and k = 16+4j+b
//                    (high nibble)
//   q8 (q8_0)        for each block of 32 k: 16 f16 scales d, then 8 x 64 bytes; byte 4r+b of group
//   j is row r's code for
//                    k = 4j+b, plus 128 (VPDPBUSD wants one operand unsigned)
// Same bits per weight as the file: nothing is lost and nothing is kept twice.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "engine/core/aligned_buffer.h"
#include "engine/core/tensor_view.h"
#include "engine/core/thread_pool.h"
#include "engine/kernels/cpu/to_f32.h"

namespace lm {

inline constexpr int kPanelRows = 16;
inline constexpr int kQuantBlock = 32;

enum class PanelKind : uint8_t { f32, f16, bf16, q4_0, q4_1, q8_0 };

struct PanelMatrix {
  PanelKind kind = PanelKind::f32;
  int64_t rows = 0, cols = 0;  // the logical matrix: out = W x, W is [rows, cols]
  int64_t panel_bytes = 0;
  AlignedBuffer data;
  int64_t n_panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  bool quantized() const { return kind >= PanelKind::q4_0; }
};

// One source matrix of a panel matrix: rows of `view`, or its columns when transposed (GPT-2 stores
// [in, out]).
struct PanelSource {
  TensorView view;
  bool transposed = false;
};

// The panels that hold weights of this type in the fast mode. Exact: the type's own kind, and q8_0
// for q5_0 and iq4_nl (int8 codes under the same scales). f64 becomes f32; the other types, which
// have no kernel of their own, f16 (relative error at most 2^-11).
PanelKind panel_kind_for(DType type);

// Stacks the sources' rows into one panel matrix of `kind`: f32 and f16 take sources of any type
// that to_f32 takes, the others what panel_kind_for says. Where a value is beyond f16, the result
// has kind f32. interleave alternates panels of two
// equally tall sources (gate 0, up 0, gate 1, ...), each padded to whole panels; `rows` counts the
// padding then. All sources have the same cols. done(bytes), when given, is told which bytes of the
// sources are not needed any more, from any thread, while packing goes on: the caller can let the
// file's pages go, so that weights are hardly ever in memory twice.
PanelMatrix pack_panels(std::span<const PanelSource> sources, PanelKind kind, bool interleave,
                        ThreadPool& pool,
                        const std::function<void(std::span<const std::byte>)>& done = {});

// Writes row `row` as floats to out[cols].
void unpack_row(const PanelMatrix& m, int64_t row, float* out);

}  // namespace lm
