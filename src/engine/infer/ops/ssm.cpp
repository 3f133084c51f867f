// Selective state spaces (Mamba, Mamba 2): a short causal convolution per channel, then a linear
// recurrence whose coefficients depend on the token. Heads are shared out over the threads; each
// walks the tokens in order, its state in L1.
#include <cmath>
#include <cstring>

#include "engine/infer/pass.h"
#include "engine/infer/profile.h"

namespace lm {
namespace {

float silu(float x) {
  return x / (1.0f + std::exp(-x));
}
float softplus(float x) {
  return x > 20.0f ? x : std::log1p(std::exp(x));
}

struct Ssm {
  Pass& pass;
  const SsmSpec& s;
  const SsmWeights& w;
  size_t number;           // among the recurrent ops
  float* rows = nullptr;   // [n, w.in.rows]
  Activations mixed = {};  // [n, channels]: after the convolution
  float* dt = nullptr;     // [n, heads]
  float* low = nullptr;    // [n, dt_rank + 2 state] (Mamba)
  Activations y = {};      // [n, inner]

  int64_t x_begin() const { return s.per_channel() ? 0 : s.inner_size; }
  const float* gate(int64_t t) const {
    return rows + t * w.in.rows + (s.per_channel() ? s.inner_size : 0);
  }
  const float* b(int64_t t) const {
    return s.per_channel() ? low + t * w.low.rows + s.dt_rank
                           : mixed.x + t * mixed.stride + s.inner_size;
  }
  const float* c(int64_t t) const { return b(t) + s.n_groups * s.state_size; }

  // A sequence's last rows of the convolution's input, then the state of the recurrence.
  float* conv_state(const PassSegment& segment) const {
    return pass.recurrent_state(segment, number);
  }
  float* state(const PassSegment& segment) const {
    return conv_state(segment) + (s.conv_size - 1) * s.channels();
  }
  // Row `t` of the convolution's input; the rows before the segment come from the state.
  const float* input(const PassSegment& segment, int64_t t) const {
    if (t < segment.begin)
      return conv_state(segment) + (s.conv_size - 1 + t - segment.begin) * s.channels();
    return rows + t * w.in.rows + x_begin();
  }

  void convolve() {
    for (const PassSegment& segment : pass.segments) convolve(segment);
  }

  void convolve(const PassSegment& segment) {
    const int64_t channels = s.channels(), chunk = round_up(channels, 64) / 4 + 1;
    pass.region.share(channels, chunk, [&](int64_t begin, int64_t end) {
      for (int64_t t = segment.begin; t < segment.end; ++t) {
        float* out = mixed.x + t * mixed.stride;
        for (int64_t i = begin; i < end; ++i)
          out[i] = w.conv_bias.empty() ? 0.0f : w.conv_bias[static_cast<size_t>(i)];
        for (int64_t k = 0; k < s.conv_size; ++k) {
          const float* in = input(segment, t - s.conv_size + 1 + k);
          const float* kernel = w.conv.data() + k * channels;
          for (int64_t i = begin; i < end; ++i) out[i] += kernel[i] * in[i];
        }
        for (int64_t i = begin; i < end; ++i) out[i] = silu(out[i]);
      }
    });
    // The last rows are the state of the next tokens; earliest first, as they may overlap.
    pass.region.share(channels, chunk, [&](int64_t begin, int64_t end) {
      for (int64_t r = 0; r < s.conv_size - 1; ++r)
        std::memmove(conv_state(segment) + r * channels + begin,
                     input(segment, segment.end - (s.conv_size - 1) + r) + begin,
                     static_cast<size_t>(end - begin) * 4);
    });
  }

  // Mamba: dt, B and C from the channels through a narrow matrix.
  void project_low() {
    if (w.low.quantized_input()) pass.quantize(mixed, pass.n);
    low = pass.arena.floats(pass.n * w.low.rows);
    pass.project(w.low, mixed, pass.n, low, w.low.rows);
    const Activations narrow = pass.arena.activations(pass.n, s.dt_rank);
    pass.share_tokens(pass.n, [&](int64_t t) {
      float* row = low + t * w.low.rows;
      float* b_row = row + s.dt_rank;
      pass.norm_row(s.dt_norm, w.dt_norm, row, s.dt_rank, narrow.x + t * narrow.stride);
      pass.norm_row(s.b_norm, w.b_norm, b_row, s.state_size, b_row);
      pass.norm_row(s.c_norm, w.c_norm, b_row + s.state_size, s.state_size, b_row + s.state_size);
      if (w.dt.quantized_input()) pass.quantize_row(narrow, t);
    });
    pass.project(w.dt, narrow, pass.n, dt, s.n_heads);
  }

  void step_sizes() {
    const int64_t at = w.in.rows - s.n_heads;
    pass.share_tokens(pass.n, [&](int64_t t) {
      for (int64_t h = 0; h < s.n_heads; ++h) {
        float& d = dt[t * s.n_heads + h];
        if (s.per_channel()) {
          d = softplus(d);
          continue;
        }
        d = softplus(rows[t * w.in.rows + at + h] + w.dt_bias[static_cast<size_t>(h)]);
        if (s.dt_max > 0.0f) d = std::clamp(d, s.dt_min, s.dt_max);
      }
    });
  }

  void scan() {
    const auto n = static_cast<int64_t>(pass.segments.size());
    const int64_t chunk = std::max<int64_t>(1, n * s.n_heads / (4 * pass.region.n_threads()));
    pass.region.share(n * s.n_heads, chunk, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        scan_head(pass.segments[static_cast<size_t>(i / s.n_heads)], i % s.n_heads);
    });
  }

  void scan_head(const PassSegment& segment, int64_t h) {
    float* states = state(segment);
    const int64_t size = s.inner_size / s.n_heads, n = s.state_size;
    const int64_t group = h / (s.n_heads / s.n_groups) * n;
    const float skip = w.d[static_cast<size_t>(h)];
    for (int64_t t = segment.begin; t < segment.end; ++t) {
      const float step = dt[t * s.n_heads + h];
      const float *bt = b(t) + group, *ct = c(t) + group;
      const float* x = mixed.x + t * mixed.stride + h * size;
      const float one_decay = s.per_channel() ? 0.0f : std::exp(step * w.a[static_cast<size_t>(h)]);
      for (int64_t p = 0; p < size; ++p) {
        float* q = states + (h * size + p) * n;
        float sum = 0.0f;
        for (int64_t i = 0; i < n; ++i) {
          const float decay =
              s.per_channel() ? std::exp(step * w.a[static_cast<size_t>(h * n + i)]) : one_decay;
          q[i] = decay * q[i] + step * bt[i] * x[p];
          sum += ct[i] * q[i];
        }
        y.x[t * y.stride + h * size + p] = sum + skip * x[p];
      }
    }
  }

  void norm_groups(float* row) const {
    if (s.norm.kind == NormKind::none) return;
    const int64_t size = s.inner_size / s.norm_groups;
    for (int64_t g = 0; g < s.norm_groups; ++g)
      pass.k.rms_norm(row + g * size, w.norm.weight.data() + g * size, size, s.norm.eps,
                      row + g * size);
  }

  void apply_gate() {
    pass.share_tokens(pass.n, [&](int64_t t) {
      float* row = y.x + t * y.stride;
      const float* z = gate(t);
      if (s.norm_before_gate) norm_groups(row);
      for (int64_t i = 0; i < s.inner_size; ++i) row[i] *= silu(z[i]);
      if (!s.norm_before_gate) norm_groups(row);
      if (w.output.quantized_input()) pass.quantize_row(y, t);
    });
  }
};

}  // namespace

size_t scratch_bytes(const SsmSpec& s, int64_t hidden, int64_t n) {
  const int64_t in = 2 * s.inner_size + 2 * s.n_groups * s.state_size + s.n_heads;
  return Arena::float_bytes(n * in) + Arena::activation_bytes(n, s.channels()) +
         Arena::float_bytes(n * s.n_heads) +
         Arena::float_bytes(n * (s.dt_rank + 2 * s.state_size)) +
         Arena::activation_bytes(n, s.dt_rank) + Arena::activation_bytes(n, s.inner_size) +
         Arena::float_bytes(n * hidden);
}

bool quantized_input(const SsmWeights& w) {
  return w.in.quantized_input();
}

void run(Pass& pass, const SsmSpec& s, const SsmWeights& w, const Branch& branch,
         const BranchWeights& weights) {
  Ssm op{pass, s, w, pass.recurrent++};
  op.rows = pass.arena.floats(pass.n * w.in.rows);
  op.mixed = pass.arena.activations(pass.n, s.channels());
  op.dt = pass.arena.floats(pass.n * s.n_heads);
  op.y = pass.arena.activations(pass.n, s.inner_size);
  pass.project(w.in, pass.normed, pass.n, op.rows, w.in.rows);
  op.convolve();
  if (s.per_channel()) op.project_low();
  op.step_sizes();
  {
    const ProfileScope scope(pass.region, "ssm scan");
    op.scan();
  }
  op.apply_gate();
  pass.finish(w.output, op.y, branch, weights);
}

}  // namespace lm
