#include "engine/kernels/cpu/panels.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "engine/core/error.h"
#include "engine/core/half.h"
#include "engine/kernels/cpu/panel_blocks.h"

namespace lm {
namespace {

int64_t panel_bytes(PanelKind kind, int64_t cols) {
  const PanelFormat f = panel_format(kind);
  return is_quantized(kind) ? cols / f.block * f.block_bytes()
                            : cols * kPanelRows * dtype_info(f.dtype).block_bytes;
}

// Where one output row comes from.
struct RowRef {
  const PanelSource* source;
  int64_t row;
};

// The rows of panel p in order; absent rows (padding) have a null source.
void panel_rows(std::span<const PanelSource> sources, bool interleave, int64_t p, RowRef* rows) {
  for (int r = 0; r < kPanelRows; ++r) rows[r] = {nullptr, 0};
  if (interleave) {
    const PanelSource& s = sources[static_cast<size_t>(p % 2)];
    const int64_t n = s.transposed ? s.view.cols() : s.view.rows();
    for (int r = 0; r < kPanelRows; ++r)
      if (const int64_t row = p / 2 * kPanelRows + r; row < n) rows[r] = {&s, row};
    return;
  }
  for (int r = 0; r < kPanelRows; ++r) {
    int64_t row = p * kPanelRows + r;
    for (const PanelSource& s : sources) {
      const int64_t n = s.transposed ? s.view.cols() : s.view.rows();
      if (row < n) {
        rows[r] = {&s, row};
        break;
      }
      row -= n;
    }
  }
}

// One row of blocks into lane r, unchanged but for the order.
void pack_quantized_row(const RowRef& row, PanelKind kind, int64_t cols, int r, std::byte* panel) {
  const PanelFormat f = panel_format(kind);
  const int64_t blocks = cols / f.block, row_bytes = blocks * dtype_info(f.dtype).block_bytes;
  const auto* in = reinterpret_cast<const uint8_t*>(row.source->view.data);
  pack_row(kind, in + row.row * row_bytes, blocks, r, reinterpret_cast<uint8_t*>(panel));
}

// One row of plain numbers into lane r, unchanged.
template <typename T>
void pack_plain_row(const RowRef& row, int64_t cols, int r, std::byte* out_bytes) {
  T* out = reinterpret_cast<T*>(out_bytes);
  const TensorView& v = row.source->view;
  const bool t = row.source->transposed;
  const std::byte* in = v.data + static_cast<int64_t>(sizeof(T)) * (t ? row.row : row.row * cols);
  const int64_t step = t ? v.cols() : 1;
  for (int64_t k = 0; k < cols; ++k)
    std::memcpy(&out[k * kPanelRows + r], in + k * step * static_cast<int64_t>(sizeof(T)),
                sizeof(T));
}

// One row of any type into lane r of an f32 or f16 panel. False when a value is beyond f16.
bool pack_converted_row(const RowRef& row, PanelKind kind, int64_t cols, int r, std::byte* out,
                        std::vector<float>* buffer) {
  const TensorView& v = row.source->view;
  float* x = buffer->data();
  if (row.source->transposed)
    for (int64_t k = 0; k < cols; ++k) to_f32(v, k * v.cols() + row.row, 1, &x[k]);
  else
    to_f32(v, row.row * cols, cols, x);
  if (kind == PanelKind::f32) {
    for (int64_t k = 0; k < cols; ++k) reinterpret_cast<float*>(out)[k * kPanelRows + r] = x[k];
    return true;
  }
  float largest = 0.0f;
  for (int64_t k = 0; k < cols; ++k) {
    largest = std::max(largest, std::fabs(x[k]));
    reinterpret_cast<uint16_t*>(out)[k * kPanelRows + r] = float_to_half(x[k]);
  }
  return largest < 65504.0f;
}

// Absent rows stay zero, as fresh memory is: zero scales make padded rows zero. False when a value
// is beyond f16.
bool pack_panel(const RowRef* rows, PanelKind kind, int64_t cols, std::byte* out,
                std::vector<float>* buffer) {
  bool fits = true;
  for (int r = 0; r < kPanelRows; ++r) {
    if (!rows[r].source) continue;
    if (is_quantized(kind))
      pack_quantized_row(rows[r], kind, cols, r, out);
    else if (rows[r].source->view.dtype != panel_format(kind).dtype)
      fits = pack_converted_row(rows[r], kind, cols, r, out, buffer) && fits;
    else if (kind == PanelKind::f32)
      pack_plain_row<float>(rows[r], cols, r, out);
    else
      pack_plain_row<uint16_t>(rows[r], cols, r, out);
  }
  return fits;
}

// The source bytes of panels [begin, end), where they are whole rows: one stretch for each source.
void report_done(std::span<const PanelSource> sources, bool interleave, int64_t begin, int64_t end,
                 const std::function<void(std::span<const std::byte>)>& done) {
  int64_t first = (interleave ? begin / 2 : begin) * kPanelRows,
          last = (interleave ? end / 2 : end) * kPanelRows;
  for (const PanelSource& s : sources) {
    const int64_t rows = s.view.rows(), row_bytes = dtype_bytes(s.view.dtype, s.view.cols());
    const int64_t from = std::clamp<int64_t>(first, 0, rows),
                  to = std::clamp<int64_t>(last, 0, rows);
    if (!s.transposed && from < to)
      done({s.view.data + from * row_bytes, static_cast<size_t>((to - from) * row_bytes)});
    if (interleave) continue;
    first -= rows;
    last -= rows;
  }
}

}  // namespace

PanelKind panel_kind_for(DType type) {
  for (int i = 0; i < kPanelKinds; ++i)
    if (const auto k = static_cast<PanelKind>(i); panel_format(k).dtype == type) return k;
  return type == DType::f64 ? PanelKind::f32 : PanelKind::f16;
}

namespace {

void check_source(const PanelSource& s, PanelKind kind) {
  const DType type = s.view.dtype;
  check_to_f32(type);
  LM_CHECK(!s.transposed || !is_quantized(type), ErrorCode::unsupported,
           "a matrix of type {} cannot be transposed", dtype_name(type));
  LM_CHECK(!is_quantized(kind) || panel_kind_for(type) == kind, ErrorCode::internal,
           "pack_panels: {} weights do not fit panels of {}", dtype_name(type),
           dtype_name(panel_format(kind).dtype));
}

}  // namespace

PanelMatrix panel_layout(std::span<const PanelSource> sources, PanelKind kind, bool interleave) {
  PanelMatrix m;
  m.kind = kind;
  const auto cols_of = [](const PanelSource& s) {
    return s.transposed ? s.view.rows() : s.view.cols();
  };
  m.cols = cols_of(sources[0]);
  for (const PanelSource& s : sources) {
    LM_CHECK(cols_of(s) == m.cols, ErrorCode::bad_shape,
             "weights that read the same input have {} and {} columns; they must agree", m.cols,
             cols_of(s));
    check_source(s, kind);
    m.rows += s.transposed ? s.view.cols() : s.view.rows();
  }
  if (interleave) m.rows = 2 * ((m.rows / 2 + kPanelRows - 1) / kPanelRows * kPanelRows);
  m.panel_bytes = panel_bytes(kind, m.cols);
  return m;
}

PanelMatrix pack_panels(std::span<const PanelSource> sources, PanelKind kind, bool interleave,
                        ThreadPool& pool,
                        const std::function<void(std::span<const std::byte>)>& done) {
  PanelMatrix m = panel_layout(sources, kind, interleave);
  m.data = AlignedBuffer(static_cast<size_t>(m.panel_bytes * m.n_panels()), true);
  std::atomic<bool> fits = true;
  pool.run([&](Region& region) {
    region.share(
        m.n_panels(), 64,
        [&](int64_t begin, int64_t end) {  // 1024 rows: an even number of panels, whole pages
          std::vector<float> buffer(static_cast<size_t>(m.cols));
          for (int64_t p = begin; p < end; ++p) {
            RowRef rows[kPanelRows];
            panel_rows(sources, interleave, p, rows);
            std::byte* out = m.data.data() + p * m.panel_bytes;
            if (!pack_panel(rows, kind, m.cols, out, &buffer)) fits = false;
          }
          if (done) report_done(sources, interleave, begin, end, done);
        });
  });
  return fits ? std::move(m) : pack_panels(sources, PanelKind::f32, interleave, pool, done);
}

void unpack_row(const PanelMatrix& m, int64_t row, float* out) {
  const std::byte* panel = m.data.data() + row / kPanelRows * m.panel_bytes;
  const auto r = static_cast<int>(row % kPanelRows);
  if (!m.quantized()) {
    const auto* f = reinterpret_cast<const float*>(panel);
    const auto* h = reinterpret_cast<const uint16_t*>(panel);
    for (int64_t k = 0; k < m.cols; ++k) {
      const int64_t i = k * kPanelRows + r;
      out[k] = m.kind == PanelKind::f32   ? f[i]
               : m.kind == PanelKind::f16 ? half_to_float(h[i])
                                          : bf16_to_float(h[i]);
    }
    return;
  }
  const PanelFormat f = panel_format(m.kind);
  const auto* at = reinterpret_cast<const uint8_t*>(panel);
  QuantBlock block;
  for (int64_t k = 0; k < m.cols; k += f.block, at += f.block_bytes()) {
    get_block(f, at, r, &block);
    block_to_f32(f, block, out + k);
  }
}

}  // namespace lm
