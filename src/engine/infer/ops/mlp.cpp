// Feed-forward blocks: gated (Shazeer 2020) or plain.
#include "engine/infer/pass.h"

namespace lm {

size_t scratch_bytes(const MlpSpec& m, int64_t hidden, int64_t n) {
  return Arena::float_bytes(n * 2 * round_up(m.size, 16)) + Arena::activation_bytes(n, m.size) +
         Arena::float_bytes(n * hidden);
}

bool quantized_input(const MlpWeights& w) {
  return w.in.quantized_input();
}

namespace {

// Gate and up of a unit, for panels that alternate between them or for one after the other.
struct Units {
  int64_t size;
  bool interleaved;
  int64_t gate(int64_t i) const {
    return interleaved ? i / kPanelRows * 2 * kPanelRows + i % kPanelRows : i;
  }
  int64_t up(int64_t i) const { return gate(i) + (interleaved ? kPanelRows : size); }
};

}  // namespace

Activations mlp_hidden(Pass& pass, const MlpSpec& m, const MlpWeights& w, const Activations& in,
                       int64_t count) {
  const Activations out = pass.arena.activations(count, m.size);
  const bool quantized = w.out.quantized_input();
  if (w.in.interleaved && !pass.adapted(w.in)) {
    pass.project(w.in, in, count, out.x, out.stride,
                 m.activation == Activation::silu ? Epilogue::swiglu : Epilogue::geglu);
    if (quantized) pass.quantize(out, count);
    return out;
  }
  const int64_t width = w.in.interleaved ? w.in.parts[0]->rows : w.in.rows;
  const Units at{m.size, w.in.interleaved};
  float* units = pass.arena.floats(count * width);
  pass.project(w.in, in, count, units, width);
  pass.share_tokens(count, [&](int64_t t) {
    const float* row = units + t * width;
    float* y = out.x + t * out.stride;
    for (int64_t i = 0; i < m.size; ++i) y[i] = row[at.gate(i)];
    apply_activation(pass.k, m.activation, y, m.size);
    if (m.gated)
      for (int64_t i = 0; i < m.size; ++i) y[i] *= row[at.up(i)];
    if (quantized) pass.quantize_row(out, t);
  });
  return out;
}

void run(Pass& pass, const MlpSpec& m, const MlpWeights& w, const Branch& branch,
         const BranchWeights& weights) {
  const Activations units = mlp_hidden(pass, m, w, pass.normed, pass.n);
  pass.finish(w.out, units, branch, weights);
}

}  // namespace lm
