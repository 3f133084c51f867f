#include "engine/export/fold.h"

#include <algorithm>
#include <cmath>

namespace lm {
namespace {

class Folder {
 public:
  explicit Folder(ModelSpec* spec) : spec_(*spec) {}

  void factors() {
    for_each_branch(spec_, [&](Branch& branch) {
      std::visit([&](auto& op) { fold(&op); }, branch.op);
      into(output_of(branch.op), branch.scale);
      branch.scale = 1.0f;
    });
    if (!spec_.output) return;
    // What multiplies the logits multiplies the head; a tied one is cut loose first.
    if (spec_.output->weight == spec_.embedding.weight &&
        (spec_.embedding_scale != 1.0f || spec_.logit_scale != 1.0f)) {
      out_.untied = true;
      spec_.output->weight = "output.weight";
    }
    into(*spec_.output, spec_.logit_scale);
    into(spec_.embedding, spec_.embedding_scale);
    spec_.logit_scale = spec_.embedding_scale = 1.0f;
  }

  void epsilons() {
    for_each_branch(spec_, [&](Branch& branch) {
      auto* s = std::get_if<SsmSpec>(&branch.op);
      if (s == nullptr || s->dt_norm.kind == NormKind::none || !s->dt_norm.weight.empty()) return;
      if (!(s->dt_norm.eps > 0.0f) || !(branch.norm.eps > 0.0f)) return;
      into(s->low, std::sqrt(branch.norm.eps / s->dt_norm.eps));
      s->dt_norm.eps = s->b_norm.eps = s->c_norm.eps = branch.norm.eps;
    });
  }

  void decoder_head() {
    if (!spec_.encoder || !spec_.output || spec_.output->weight != spec_.embedding.weight ||
        spec_.logit_scale != 1.0f)
      return;
    out_.untied = true;
    spec_.output->weight = "output.weight";
  }

  Folded take() { return std::move(out_); }

 private:
  void multiply(const std::string& tensor, int64_t begin, int64_t n, float factor) {
    if (!tensor.empty() && factor != 1.0f) out_.scales[tensor].push_back({begin, n, factor});
  }
  // The whole result of a projection.
  void into(const LinearSpec& l, float factor) {
    multiply(l.weight, l.row_begin, l.n_rows, factor);
    multiply(l.bias, l.row_begin, l.n_rows, factor);
  }
  // Its own scale, which comes before the bias.
  void fold(LinearSpec* l) {
    multiply(l->weight, l->row_begin, l->n_rows, l->scale);
    l->scale = 1.0f;
  }
  void fold(AttentionSpec* a) {
    for (LinearSpec& l : a->qkv) fold(&l);
    fold(&a->output);
  }
  void fold(MlpSpec* m) {
    for (LinearSpec* l : {&m->gate, &m->up, &m->down}) fold(l);
  }
  void fold(SsmSpec* s) {
    for (LinearSpec& l : s->in) fold(&l);
    // The parts of one matrix are one again.
    if (s->in.size() > 1 && s->in[0].n_rows >= 0) {
      s->in.resize(1);
      s->in[0].row_begin = 0;
      s->in[0].n_rows = -1;
    }
    fold(&s->output);
  }
  template <typename Op>
  void fold(Op*) {}

  static LinearSpec output_of(const Op& op) {
    if (const auto* a = std::get_if<AttentionSpec>(&op)) return a->output;
    if (const auto* m = std::get_if<MlpSpec>(&op)) return m->down;
    if (const auto* s = std::get_if<SsmSpec>(&op)) return s->output;
    return {};
  }

  ModelSpec& spec_;
  Folded out_;
};

}  // namespace

Folded fold(const Arch& arch, ModelSpec* spec) {
  Folder folder(spec);
  if (arch.factors_in_weights) folder.factors();
  folder.epsilons();
  folder.decoder_head();
  spec->position_offset = 0;  // the reader leaves the rows before it out
  return folder.take();
}

ExportTensor scaled(ExportTensor t, const std::vector<RowScale>& scales) {
  t = widened(std::move(t));
  // Rows of a vector are its elements, which are read all at once.
  const bool vector = t.shape.size() == 1;
  const int64_t cols = vector ? 1 : t.cols();
  const int64_t rows = t.rows() * t.cols() / cols;
  t.read = [read = std::move(t.read), scales, cols, rows, vector](int64_t first, int64_t last,
                                                                  std::byte* out) {
    read(first, last, out);
    if (vector) first = 0, last = rows;
    auto* x = reinterpret_cast<float*>(out);
    for (const RowScale& s : scales) {
      const int64_t begin = std::max(first, s.begin);
      const int64_t end = std::min(last, s.n < 0 ? rows : s.begin + s.n);
      for (int64_t i = (begin - first) * cols; i < (end - first) * cols; ++i) x[i] *= s.factor;
    }
  };
  return t;
}

}  // namespace lm
