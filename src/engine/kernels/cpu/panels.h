// Weight matrices as the kernels read them: panels of 16 output rows, interleaved so that one
// vector holds the same position of all 16 rows. A dot product then needs no horizontal sums, and
// one layout serves every column count. panel_format.h says how a panel lies in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "engine/core/aligned_buffer.h"
#include "engine/core/tensor_view.h"
#include "engine/core/thread_pool.h"
#include "engine/kernels/cpu/panel_format.h"
#include "engine/kernels/cpu/to_f32.h"

namespace lm {

struct PanelMatrix {
  PanelKind kind = PanelKind::f32;
  int64_t rows = 0, cols = 0;  // the logical matrix: out = W x, W is [rows, cols]
  int64_t panel_bytes = 0;
  AlignedBuffer data;
  int64_t n_panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  bool quantized() const { return is_quantized(kind); }
};

// One source matrix of a panel matrix: rows of `view`, or its columns when transposed (GPT-2 stores
// [in, out]).
struct PanelSource {
  TensorView view;
  bool transposed = false;
};

// The panels that hold weights of this type in the fast mode. Exact: the type's own kind. f64
// becomes f32; the other types, which have no kernel of their own, f16 (relative error at most
// 2^-11).
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

// What pack_panels makes of the sources, without memory for it: kind, rows, cols, panel_bytes.
PanelMatrix panel_layout(std::span<const PanelSource> sources, PanelKind kind, bool interleave);

// Writes row `row` as floats to out[cols].
void unpack_row(const PanelMatrix& m, int64_t row, float* out);

}  // namespace lm
