#include "engine/kernels/cpu/panels.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/core/error.h"
#include "engine/core/half.h"

namespace lm {
namespace {

struct KindInfo {
  DType dtype;
  int scale_bytes;  // per block and row (quantized kinds)
  int code_bytes;   // per block and row; per element for plain kinds
};

KindInfo kind_info(PanelKind kind) {
  switch (kind) {
    case PanelKind::f32:
      return {DType::f32, 0, 4};
    case PanelKind::f16:
      return {DType::f16, 0, 2};
    case PanelKind::bf16:
      return {DType::bf16, 0, 2};
    case PanelKind::q4_0:
      return {DType::q4_0, 2, 16};
    case PanelKind::q4_1:
      return {DType::q4_1, 4, 16};
    case PanelKind::q8_0:
      return {DType::q8_0, 2, 32};
  }
  return {DType::f32, 0, 4};
}

int64_t panel_bytes(PanelKind kind, int64_t cols) {
  const KindInfo info = kind_info(kind);
  if (kind < PanelKind::q4_0) return cols * kPanelRows * info.code_bytes;
  return cols / kQuantBlock * kPanelRows * (info.scale_bytes + info.code_bytes);
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

// Rows of blocks: scales of the 16 rows together, then 4-byte groups of codes, row by row.
void pack_quantized(const RowRef* rows, PanelKind kind, int64_t cols, std::byte* out) {
  const KindInfo info = kind_info(kind);
  const int file_bytes = info.scale_bytes + info.code_bytes;
  const int64_t blocks = cols / kQuantBlock;
  const uint32_t flip = kind == PanelKind::q8_0 ? 0x80808080u : 0u;
  for (int r = 0; r < kPanelRows; ++r) {
    if (!rows[r].source) continue;  // zero scales (fresh memory) make padded rows zero
    const std::byte* in = rows[r].source->view.data + rows[r].row * blocks * file_bytes;
    std::byte* block = out;
    for (int64_t b = 0; b < blocks; ++b, in += file_bytes, block += kPanelRows * file_bytes) {
      for (int s = 0; s < info.scale_bytes / 2; ++s)
        std::memcpy(block + s * 32 + r * 2, in + s * 2, 2);
      std::byte* codes = block + kPanelRows * info.scale_bytes + r * 4;
      for (int j = 0; j < info.code_bytes / 4; ++j) {
        uint32_t word;
        std::memcpy(&word, in + info.scale_bytes + j * 4, 4);
        word ^= flip;
        std::memcpy(codes + j * 64, &word, 4);
      }
    }
  }
}

template <typename T>
void pack_plain(const RowRef* rows, int64_t cols, std::byte* out_bytes) {
  T* out = reinterpret_cast<T*>(out_bytes);
  for (int r = 0; r < kPanelRows; ++r) {
    if (!rows[r].source) continue;
    const TensorView& v = rows[r].source->view;
    const bool t = rows[r].source->transposed;
    const std::byte* in =
        v.data + static_cast<int64_t>(sizeof(T)) * (t ? rows[r].row : rows[r].row * cols);
    const int64_t step = t ? v.cols() : 1;
    for (int64_t k = 0; k < cols; ++k)
      std::memcpy(&out[k * kPanelRows + r], in + k * step * static_cast<int64_t>(sizeof(T)),
                  sizeof(T));
  }
}

// Any source type to f32 panels.
void pack_converted(const RowRef* rows, int64_t cols, std::byte* out_bytes) {
  float* out = reinterpret_cast<float*>(out_bytes);
  std::vector<float> row(static_cast<size_t>(cols));
  for (int r = 0; r < kPanelRows; ++r) {
    if (!rows[r].source) continue;
    const TensorView& v = rows[r].source->view;
    if (rows[r].source->transposed)
      for (int64_t k = 0; k < cols; ++k)
        to_f32(v, k * v.cols() + rows[r].row, 1, &row[static_cast<size_t>(k)]);
    else
      to_f32(v, rows[r].row * cols, cols, row.data());
    for (int64_t k = 0; k < cols; ++k) out[k * kPanelRows + r] = row[static_cast<size_t>(k)];
  }
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

bool panel_kind_for(DType type, PanelKind* kind) {
  for (const PanelKind k : {PanelKind::f32, PanelKind::f16, PanelKind::bf16, PanelKind::q4_0,
                            PanelKind::q4_1, PanelKind::q8_0})
    if (kind_info(k).dtype == type) {
      *kind = k;
      return true;
    }
  return false;
}

PanelMatrix pack_panels(std::span<const PanelSource> sources, PanelKind kind, bool interleave,
                        ThreadPool& pool,
                        const std::function<void(std::span<const std::byte>)>& done) {
  PanelMatrix m;
  m.kind = kind;
  const auto cols_of = [](const PanelSource& s) {
    return s.transposed ? s.view.rows() : s.view.cols();
  };
  m.cols = cols_of(sources[0]);
  bool same_type = true;
  for (const PanelSource& s : sources) {
    LM_CHECK(cols_of(s) == m.cols, ErrorCode::bad_shape,
             "weights that read the same input have {} and {} columns; they must agree", m.cols,
             cols_of(s));
    m.rows += s.transposed ? s.view.cols() : s.view.rows();
    same_type = same_type && s.view.dtype == kind_info(kind).dtype;
    if (!same_type) to_f32(s.view, 0, 0, nullptr);  // refuses types that cannot be converted
  }
  if (interleave) m.rows = 2 * ((m.rows / 2 + kPanelRows - 1) / kPanelRows * kPanelRows);
  m.panel_bytes = panel_bytes(kind, m.cols);
  m.data = AlignedBuffer(static_cast<size_t>(m.panel_bytes * m.n_panels()), true);
  pool.run([&](Region& region) {
    region.share(
        m.n_panels(), 64,
        [&](int64_t begin, int64_t end) {  // 1024 rows: an even number of panels, whole pages
          for (int64_t p = begin; p < end; ++p) {
            RowRef rows[kPanelRows];
            panel_rows(sources, interleave, p, rows);
            std::byte* out = m.data.data() + p * m.panel_bytes;
            if (!same_type)
              pack_converted(rows, m.cols, out);
            else if (m.quantized())
              pack_quantized(rows, kind, m.cols, out);
            else if (kind == PanelKind::f32)
              pack_plain<float>(rows, m.cols, out);
            else
              pack_plain<uint16_t>(rows, m.cols, out);
          }
          if (done) report_done(sources, interleave, begin, end, done);
        });
  });
  return m;
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
  // Rebuild the file's block, then dequantise as the file format says.
  const KindInfo info = kind_info(m.kind);
  const int file_bytes = info.scale_bytes + info.code_bytes;
  const uint32_t flip = m.kind == PanelKind::q8_0 ? 0x80808080u : 0u;
  for (int64_t b = 0; b < m.cols / kQuantBlock; ++b, panel += kPanelRows * file_bytes) {
    std::byte block[36];
    for (int s = 0; s < info.scale_bytes / 2; ++s)
      std::memcpy(block + s * 2, panel + s * 32 + r * 2, 2);
    for (int j = 0; j < info.code_bytes / 4; ++j) {
      uint32_t word;
      std::memcpy(&word, panel + kPanelRows * info.scale_bytes + r * 4 + j * 64, 4);
      word ^= flip;
      std::memcpy(block + info.scale_bytes + j * 4, &word, 4);
    }
    to_f32(TensorView{block, info.dtype, {kQuantBlock}}, 0, kQuantBlock, out + b * kQuantBlock);
  }
}

}  // namespace lm
