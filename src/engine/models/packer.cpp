#include "engine/models/packer.h"

#include <algorithm>
#include <cstring>

#include "engine/core/error.h"
#include "engine/core/half.h"
#include "engine/core/interrupt.h"

namespace lm {

bool LinearWeights::quantized_input() const {
  return std::any_of(parts.begin(), parts.end(), [](const auto& p) { return p->quantized(); });
}

LinearWeights Packer::linear(const std::vector<LinearSpec>& specs, int64_t cols,
                             const std::vector<int64_t>& rows) {
  LinearWeights out;
  out.cols = cols;
  std::vector<PanelSource> sources;
  for (size_t i = 0; i < specs.size(); ++i) {
    sources.push_back(source(specs[i], rows[i], cols));
    describe(specs[i], rows[i], &out);
  }
  const bool same = std::all_of(sources.begin(), sources.end(), [&](const PanelSource& s) {
    return kind_of(s) == kind_of(sources[0]);
  });
  if (sources.size() == 1) {
    out.parts.push_back(pack_once(specs[0], sources[0]));
  } else if (same) {
    out.parts.push_back(pack(sources, false));
  } else {
    for (const PanelSource& s : sources) out.parts.push_back(pack({s}, false));
  }
  plain_.clear();
  return out;
}

MlpWeights Packer::mlp(const MlpSpec& m, int64_t hidden) {
  MlpWeights w;
  if (!m.gated)
    w.in = linear({m.up}, hidden, {m.size});
  else if (!gated(m, hidden, &w.in))
    w.in = linear({m.gate, m.up}, hidden, {m.size, m.size});
  w.out = linear({m.down}, m.size, {hidden});
  return w;
}

// False when the fused product cannot do it: then gate and up are stacked.
bool Packer::gated(const MlpSpec& m, int64_t cols, LinearWeights* out) {
  const bool fusable = m.activation == Activation::silu || m.activation == Activation::gelu_tanh;
  const bool plain =
      m.gate.bias.empty() && m.up.bias.empty() && m.gate.scale == 1.0f && m.up.scale == 1.0f;
  if (!fusable || !plain) return false;
  const PanelSource gate = source(m.gate, m.size, cols), up = source(m.up, m.size, cols);
  if (kind_of(gate) != kind_of(up)) return false;
  out->cols = cols;
  describe(m.gate, m.size, out);
  describe(m.up, m.size, out);
  out->parts.push_back(pack({gate, up}, true));
  out->interleaved = true;
  return true;
}

NormWeights Packer::norm(const NormSpec& spec, int64_t n) {
  if (spec.kind == NormKind::none) return {};
  NormWeights w{vector(spec.weight, n), vector(spec.bias, n)};
  w.weight.resize(static_cast<size_t>(n), 1.0f);
  for (float& x : w.weight) x += spec.offset;
  return w;
}

std::vector<float> Packer::vector(const std::string& name, int64_t n) {
  if (name.empty()) return {};
  const TensorView& v = find(name);
  LM_CHECK(v.numel() == n, ErrorCode::bad_file, "tensor \"{}\" has shape {}; expected {} values",
           name, shape_string(v.shape), n);
  std::vector<float> out(static_cast<size_t>(n));
  to_f32(v, 0, n, out.data());
  n_params += n;
  return out;
}

const TensorView& Packer::find(const std::string& name) const {
  const auto it = file_.tensors.find(name);
  LM_CHECK(it != file_.tensors.end(), ErrorCode::bad_file, "the model has no tensor \"{}\"", name);
  return it->second;
}

PanelSource Packer::source(const LinearSpec& spec, int64_t rows, int64_t cols) {
  TensorView v = find(spec.weight);
  const bool part = spec.n_rows >= 0;
  if (v.shape.size() == 4)  // a convolution that sees each patch once
    v.shape = {v.shape[0], v.shape[1] * v.shape[2] * v.shape[3]};
  if (v.shape.size() == 3 && part && spec.transposed) return one_of(v, spec, rows, cols);
  if (v.shape.size() == 3 && part) v.shape = {v.shape[0] * v.shape[1], v.shape[2]};
  const int64_t r = spec.transposed ? cols : rows, c = spec.transposed ? rows : cols;
  const bool fits = v.shape.size() == 2 && v.shape[1] == c &&
                    (part ? !spec.transposed && spec.n_rows == rows && spec.row_begin >= 0 &&
                                spec.row_begin + rows <= v.shape[0]
                          : v.shape[0] == r);
  LM_CHECK(fits, ErrorCode::bad_file, "tensor \"{}\" has shape {}; expected [{}{}, {}]",
           spec.weight, shape_string(find(spec.weight).shape), part ? "at least " : "",
           part ? spec.row_begin + rows : r, c);
  LM_CHECK(to_f32_supported(v.dtype), ErrorCode::unsupported,
           "tensor \"{}\" is stored as {}; weights must be floating-point numbers or one of GGUF's "
           "block types",
           spec.weight, dtype_name(v.dtype));
  LM_CHECK(c % dtype_info(v.dtype).block == 0, ErrorCode::bad_file,
           "tensor \"{}\" has rows of {} values; {} needs a multiple of {}", spec.weight, c,
           dtype_name(v.dtype), dtype_info(v.dtype).block);
  if (part) {
    v.data += spec.row_begin * dtype_bytes(v.dtype, c);
    v.shape[0] = rows;
  }
  return {v, spec.transposed};
}

// One transposed matrix of several. Quantised ones are made plain, as their blocks run across.
PanelSource Packer::one_of(const TensorView& all, const LinearSpec& spec, int64_t rows,
                           int64_t cols) {
  const int64_t index = spec.row_begin / rows, n = rows * cols;
  LM_CHECK(all.shape[1] == cols && all.shape[2] == rows && spec.n_rows == rows &&
               spec.row_begin % rows == 0 && index < all.shape[0],
           ErrorCode::bad_file, "tensor \"{}\" has shape {}; expected [at least {}, {}, {}]",
           spec.weight, shape_string(all.shape), index + 1, cols, rows);
  check_to_f32(all.dtype);
  if (!is_quantized(all.dtype))
    return {{all.data + dtype_bytes(all.dtype, index * n), all.dtype, {cols, rows}}, true};
  LM_CHECK(rows % dtype_info(all.dtype).block == 0, ErrorCode::bad_file,
           "tensor \"{}\" has rows of {} values; {} needs a multiple of {}", spec.weight, rows,
           dtype_name(all.dtype), dtype_info(all.dtype).block);
  std::vector<float> wide(static_cast<size_t>(n));
  to_f32(all, index * n, n, wide.data());
  const DType type = exact_ ? DType::f32 : DType::f16;
  std::vector<std::byte>& bytes = plain_.emplace_back(static_cast<size_t>(dtype_bytes(type, n)));
  if (exact_) {
    std::memcpy(bytes.data(), wide.data(), bytes.size());
  } else {
    auto* half = reinterpret_cast<uint16_t*>(bytes.data());
    std::transform(wide.begin(), wide.end(), half, float_to_half);
  }
  return {{bytes.data(), type, {cols, rows}}, true};
}

// Two ops that read the same tensor share its panels (Hymba's output projection).
std::shared_ptr<const PanelMatrix> Packer::pack_once(const LinearSpec& spec,
                                                     const PanelSource& source) {
  if (spec.n_rows >= 0) return pack({source}, false);
  auto& known = whole_[spec.weight];
  if (!known) known = pack({source}, false);
  return known;
}

std::shared_ptr<const PanelMatrix> Packer::pack(const std::vector<PanelSource>& sources,
                                                bool interleave) {
  check_interrupt();
  const PanelKind kind = kind_of(sources[0]);
  auto m = std::make_shared<PanelMatrix>(
      measure_ ? panel_layout(sources, kind, interleave)
               : pack_panels(sources, kind, interleave, pool_,
                             [this](std::span<const std::byte> bytes) { release(bytes); }));
  packed_bytes += m->panel_bytes * m->n_panels();
  for (const PanelSource& s : sources) n_params += s.view.numel();
  return m;
}

// Adds one projection's place, bias and scale to the stack.
void Packer::describe(const LinearSpec& spec, int64_t rows, LinearWeights* out) {
  out->sources.push_back({spec.weight, out->rows, rows, spec.row_begin});
  const auto extend = [&](std::vector<float>* list, bool given, float neutral) {
    if (!given && list->empty()) return false;
    list->resize(static_cast<size_t>(out->rows), neutral);
    list->resize(static_cast<size_t>(out->rows + rows), neutral);
    return given;
  };
  if (extend(&out->bias, !spec.bias.empty(), 0.0f)) {
    const std::vector<float> all = vector(spec.bias, find(spec.bias).numel());
    LM_CHECK(static_cast<int64_t>(all.size()) >= spec.row_begin + rows, ErrorCode::bad_file,
             "tensor \"{}\" has {} values; expected {}", spec.bias, all.size(),
             spec.row_begin + rows);
    std::copy_n(all.begin() + spec.row_begin, rows, out->bias.begin() + out->rows);
  }
  if (extend(&out->scale, spec.scale != 1.0f, 1.0f))
    std::fill_n(out->scale.begin() + out->rows, rows, spec.scale);
  out->rows += rows;
}

// Lets the file's pages under packed weights go.
void Packer::release(std::span<const std::byte> used) const {
  for (const auto& file : file_.files) {
    const auto bytes = file->bytes();
    if (used.data() < bytes.data() || used.data() >= bytes.data() + bytes.size()) continue;
    file->release(static_cast<size_t>(used.data() - bytes.data()), used.size());
  }
}

}  // namespace lm
