// Feed-forward blocks: gated (Shazeer 2020) or plain.
#include <cstring>

#include "engine/infer/pass.h"

namespace lm {

size_t scratch_bytes(const MlpSpec& m, int64_t hidden, int64_t n) {
  return Arena::float_bytes(n * 2 * round_up(m.size, 16)) + Arena::activation_bytes(n, m.size) +
         Arena::float_bytes(n * hidden);
}

bool quantized_input(const MlpWeights& w) {
  return w.in.quantized_input();
}

Activations mlp_hidden(Pass& pass, const MlpSpec& m, const MlpWeights& w, const Activations& in,
                       int64_t count) {
  const Activations out = pass.arena.activations(count, m.size);
  const bool quantized = w.out.quantized_input();
  if (w.in.interleaved) {
    pass.project(w.in, in, count, out.x, out.stride,
                 m.activation == Activation::silu ? Epilogue::swiglu : Epilogue::geglu);
    if (quantized) pass.quantize(out, count);
    return out;
  }
  float* units = pass.arena.floats(count * w.in.rows);
  pass.project(w.in, in, count, units, w.in.rows);
  pass.share_tokens(count, [&](int64_t t) {
    float* gate = units + t * w.in.rows;
    float* y = out.x + t * out.stride;
    apply_activation(pass.k, m.activation, gate, m.size);
    if (m.gated)
      for (int64_t i = 0; i < m.size; ++i) y[i] = gate[i] * gate[m.size + i];
    else
      std::memcpy(y, gate, static_cast<size_t>(m.size) * 4);
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
