#include "engine/models/model_weights.h"

#include <algorithm>

#include "engine/core/error.h"
#include "engine/core/interrupt.h"

namespace lm {

bool LinearWeights::quantized_input() const {
  return std::any_of(parts.begin(), parts.end(), [](const auto& p) { return p->quantized(); });
}

namespace {

class Packer {
 public:
  Packer(const TensorFile& file, bool exact)
      : file_(file), exact_(exact), pool_(ThreadPool::instance()) {}

  // Stacks the projections. One part when their kinds agree, else one part each.
  LinearWeights linear(const std::vector<LinearSpec>& specs, int64_t cols,
                       const std::vector<int64_t>& rows) {
    LinearWeights out;
    out.cols = cols;
    std::vector<PanelSource> sources;
    for (size_t i = 0; i < specs.size(); ++i) {
      sources.push_back(source(specs[i], rows[i], cols));
      add_bias(specs[i], rows[i], &out);
      out.rows += rows[i];
    }
    const bool same = std::all_of(sources.begin(), sources.end(), [&](const PanelSource& s) {
      return kind_of(s) == kind_of(sources[0]);
    });
    if (same) {
      out.parts.push_back(pack(sources, false));
    } else {
      for (const PanelSource& s : sources) out.parts.push_back(pack({s}, false));
    }
    return out;
  }

  // Gate and up as alternating panels, so that one thread has both halves of a gated unit. False
  // when kinds differ or there is a bias: then the caller stacks them.
  bool gated(const MlpSpec& m, int64_t cols, LinearWeights* out) {
    if (!m.gate.bias.empty() || !m.up.bias.empty() || m.activation == Activation::gelu_erf)
      return false;
    const PanelSource gate = source(m.gate, m.size, cols), up = source(m.up, m.size, cols);
    if (kind_of(gate) != kind_of(up)) return false;
    out->parts.push_back(pack({gate, up}, true));
    out->rows = 2 * m.size;
    out->cols = cols;
    return true;
  }

  std::vector<float> vector(const std::string& name, int64_t n) {
    if (name.empty()) return {};
    const TensorView& v = find(name);
    LM_CHECK(v.numel() == n, ErrorCode::bad_file, "tensor \"{}\" has shape {}; expected {} values",
             name, shape_string(v.shape), n);
    std::vector<float> out(static_cast<size_t>(n));
    to_f32(v, 0, n, out.data());
    n_params += n;
    return out;
  }

  NormWeights norm(const NormSpec& spec, int64_t n) {
    if (spec.kind == NormKind::none) return {};
    return {vector(spec.weight, n), vector(spec.bias, n)};
  }

  const TensorView& find(const std::string& name) const {
    const auto it = file_.tensors.find(name);
    LM_CHECK(it != file_.tensors.end(), ErrorCode::bad_file, "the model has no tensor \"{}\"",
             name);
    return it->second;
  }

  PanelSource source(const LinearSpec& spec, int64_t rows, int64_t cols) const {
    const TensorView& v = find(spec.weight);
    const int64_t r = spec.transposed ? cols : rows, c = spec.transposed ? rows : cols;
    LM_CHECK(v.shape.size() == 2 && v.shape[0] == r && v.shape[1] == c, ErrorCode::bad_file,
             "tensor \"{}\" has shape {}; expected [{}, {}]", spec.weight, shape_string(v.shape), r,
             c);
    LM_CHECK(
        to_f32_supported(v.dtype), ErrorCode::unsupported,
        "tensor \"{}\" is stored as {}; weights must be floating-point numbers or one of GGUF's "
        "block types",
        spec.weight, dtype_name(v.dtype));
    return {v, spec.transposed};
  }

  std::shared_ptr<const PanelMatrix> pack(const std::vector<PanelSource>& sources,
                                          bool interleave) {
    check_interrupt();
    auto m = std::make_shared<PanelMatrix>(
        pack_panels(sources, kind_of(sources[0]), interleave, pool_,
                    [this](std::span<const std::byte> bytes) { release(bytes); }));
    packed_bytes += static_cast<int64_t>(m->data.size());
    for (const PanelSource& s : sources) n_params += s.view.numel();
    return m;
  }

  int64_t n_params = 0, packed_bytes = 0;

 private:
  PanelKind kind_of(const PanelSource& s) const {
    return exact_ ? PanelKind::f32 : panel_kind_for(s.view.dtype);
  }

  void add_bias(const LinearSpec& spec, int64_t rows, LinearWeights* out) {
    if (spec.bias.empty() && out->bias.empty()) return;
    out->bias.resize(static_cast<size_t>(out->rows), 0.0f);
    const std::vector<float> b = spec.bias.empty()
                                     ? std::vector<float>(static_cast<size_t>(rows), 0.0f)
                                     : vector(spec.bias, rows);
    out->bias.insert(out->bias.end(), b.begin(), b.end());
  }

  // Lets the file's pages under packed weights go.
  void release(std::span<const std::byte> used) const {
    for (const auto& file : file_.files) {
      const auto bytes = file->bytes();
      if (used.data() < bytes.data() || used.data() >= bytes.data() + bytes.size()) continue;
      file->release(static_cast<size_t>(used.data() - bytes.data()), used.size());
    }
  }

  const TensorFile& file_;
  bool exact_;
  ThreadPool& pool_;
};

std::vector<int64_t> qkv_rows(const AttentionSpec& a) {
  const int64_t q = a.n_heads * a.head_dim, kv = a.n_kv_heads * a.head_dim;
  if (a.qkv.size() == 1) return {q + 2 * kv};
  return {q, kv, kv};
}

BlockWeights pack_block(Packer& packer, const Block& block, int64_t hidden) {
  BlockWeights w;
  w.norm = packer.norm(block.norm, hidden);
  if (const auto* a = std::get_if<AttentionSpec>(&block.op)) {
    w.in = packer.linear(a->qkv, hidden, qkv_rows(*a));
    w.out = packer.linear({a->output}, a->n_heads * a->head_dim, {hidden});
    w.q_norm = packer.norm(a->q_norm, a->head_dim);
    w.k_norm = packer.norm(a->k_norm, a->head_dim);
    return w;
  }
  const auto& m = std::get<MlpSpec>(block.op);
  w.glu_fused = m.gated && packer.gated(m, hidden, &w.in);
  if (!w.glu_fused)
    w.in = m.gated ? packer.linear({m.gate, m.up}, hidden, {m.size, m.size})
                   : packer.linear({m.up}, hidden, {m.size});
  w.out = packer.linear({m.down}, m.size, {hidden});
  return w;
}

}  // namespace

ModelWeights pack_weights(const ModelSpec& spec, const TensorFile& file, bool exact,
                          const std::function<void(double)>& progress) {
  Packer packer(file, exact);
  ModelWeights w;
  w.files = file.files;
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    w.layers.emplace_back();
    for (const Block& block : spec.layers[i])
      w.layers.back().push_back(pack_block(packer, block, spec.hidden_size));
    if (progress)
      progress(static_cast<double>(i + 1) / static_cast<double>(spec.layers.size() + 1));
  }
  w.final_norm = packer.norm(spec.final_norm, spec.hidden_size);
  if (!spec.positions.empty())
    w.positions = packer.vector(spec.positions, spec.context_length * spec.hidden_size);
  w.embedding_view = packer.source(spec.embedding, spec.vocab_size, spec.hidden_size).view;
  w.output = packer.linear({spec.output}, spec.hidden_size, {spec.vocab_size});
  if (spec.output.weight == spec.embedding.weight)
    w.embedding = w.output.parts[0];
  else
    packer.n_params += w.embedding_view.numel();
  w.n_params = packer.n_params;
  w.packed_bytes = packer.packed_bytes;
  if (progress) progress(1.0);
  return w;
}

void embedding_row(const ModelWeights& w, int64_t token, float* out) {
  if (w.embedding)
    unpack_row(*w.embedding, token, out);
  else
    to_f32(w.embedding_view, token * w.embedding_view.cols(), w.embedding_view.cols(), out);
}

}  // namespace lm
