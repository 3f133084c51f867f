// RWKV's time mixing (versions 4, 5.2 and 7) and channel mixing. The inputs of the projections mix
// each token with the one before; then a recurrence runs over the tokens, shared out over channels
// or heads.
#include <cmath>
#include <cstring>

#include "engine/infer/pass.h"

namespace lm {
namespace {

float sigmoid(float x) {
  return 1.0f / (1.0f + std::exp(-x));
}

// Mixed inputs of both kinds of blocks. The state keeps the last token's normed input.
struct Shift {
  Pass& pass;
  size_t number;  // among the recurrent ops; [C] of the state are ours
  Activations mixed;

  float* last(const PassSegment& segment) const { return pass.recurrent_state(segment, number); }
  const float* row(int64_t t) const { return pass.normed.x + t * pass.normed.stride; }

  // out = W (mix * x + (1 - mix) * previous)
  void project(const std::vector<float>& mix, const LinearWeights& w, float* out) {
    const int64_t c = pass.spec.hidden_size;
    pass.share_rows([&](const PassSegment& segment, int64_t t) {
      const float *x = row(t), *previous = t == segment.begin ? last(segment) : row(t - 1);
      float* y = mixed.x + t * mixed.stride;
      for (int64_t i = 0; i < c; ++i) {
        const float m = mix[static_cast<size_t>(i)];
        y[i] = m * x[i] + (1.0f - m) * previous[i];
      }
      if (w.quantized_input()) pass.quantize_row(mixed, t);
    });
    pass.project(w, mixed, pass.n, out, w.rows);
  }

  void keep_last() {
    pass.region.share(1, 1, [&](int64_t, int64_t) {
      for (const PassSegment& segment : pass.segments)
        std::memcpy(last(segment), row(segment.end - 1),
                    static_cast<size_t>(pass.spec.hidden_size) * 4);
    });
  }
};

struct TimeMix {
  Pass& pass;
  const TimeMixSpec& t;
  const TimeMixWeights& w;
  Shift shift;
  Activations y;
  float *r, *k, *v, *g, *decay, *rate;

  int64_t c() const { return pass.spec.hidden_size; }
  float* at(float* rows, int64_t token) const { return rows + token * c(); }

  float* state(const PassSegment& segment) const { return shift.last(segment) + c(); }

  // each(segment, first channel of a head)
  void share_heads(const auto& each) {
    const int64_t n = static_cast<int64_t>(pass.segments.size()) * t.n_heads;
    pass.region.share(n, std::max<int64_t>(1, n / (4 * pass.region.n_threads())),
                      [&](int64_t begin, int64_t end) {
                        for (int64_t i = begin; i < end; ++i)
                          each(pass.segments[static_cast<size_t>(i / t.n_heads)],
                               i % t.n_heads * t.head_size);
                      });
  }

  // Version 4: a running weighted mean per channel, its weights kept as exponents of a running
  // maximum.
  void mean() {
    for (const PassSegment& segment : pass.segments) mean(segment);
  }
  void mean(const PassSegment& segment) {
    float *num = state(segment), *den = num + c(), *top = den + c();
    pass.region.share(c(), std::max<int64_t>(16, c() / 8), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t token = segment.begin; token < segment.end; ++token) {
          const auto j = static_cast<size_t>(i);
          const float key = at(k, token)[i], value = at(v, token)[i];
          const float old = den[i] == 0.0f ? -1e38f : top[i];  // nothing was seen yet
          const float now = w.bonus[j] + key, p = std::max(old, now);
          const float a = std::exp(old - p), b = std::exp(now - p);
          y.x[token * y.stride + i] =
              sigmoid(at(r, token)[i]) * (a * num[i] + b * value) / (a * den[i] + b);
          const float q = std::max(old + w.decay[j], key);
          const float e = std::exp(old + w.decay[j] - q), f = std::exp(key - q);
          num[i] = e * num[i] + f * value;
          den[i] = e * den[i] + f;
          top[i] = q;
        }
    });
  }

  // Version 5: S = k v^T + diag(decay) S; y = r (diag(bonus) k v^T + S_before).
  void matrix() {
    const int64_t n = t.head_size;
    share_heads([&](const PassSegment& segment, int64_t h) {
      for (int64_t token = segment.begin; token < segment.end; ++token) {
        const float *kt = at(k, token) + h, *vt = at(v, token) + h, *rt = at(r, token) + h;
        float* out = y.x + token * y.stride + h;
        std::fill(out, out + n, 0.0f);
        for (int64_t i = 0; i < n; ++i) {
          const auto j = static_cast<size_t>(h + i);
          float* s = state(segment) + (h + i) * n;
          for (int64_t o = 0; o < n; ++o) {
            const float kv = kt[i] * vt[o];
            out[o] += rt[i] * (w.bonus[j] * kv + s[o]);
            s[o] = kv + w.decay[j] * s[o];
          }
        }
      }
    });
  }

  // Version 7: the state forgets along a direction before it learns (a delta rule): S = S
  // diag(decay)
  // + (S (-kk)) (kk rate)^T + v k^T; y = S r.
  void delta() {
    const int64_t n = t.head_size;
    share_heads([&](const PassSegment& segment, int64_t h) {
      std::vector<float> kk(static_cast<size_t>(n));
      for (int64_t token = segment.begin; token < segment.end; ++token) {
        float *kt = at(k, token) + h, *vt = at(v, token) + h;
        const float *rt = at(r, token) + h, *wt = at(decay, token) + h, *at_ = at(rate, token) + h;
        const auto each = [&](const std::vector<float>& values, int64_t i) {
          return values[static_cast<size_t>(h + i)];
        };
        float squares = 0.0f;
        for (int64_t i = 0; i < n; ++i) {
          kk[static_cast<size_t>(i)] = kt[i] * each(w.k_k, i);
          squares += kk[static_cast<size_t>(i)] * kk[static_cast<size_t>(i)];
        }
        const float inverse = 1.0f / std::max(std::sqrt(squares), 1e-12f);
        float bonus = 0.0f;
        for (int64_t i = 0; i < n; ++i) {
          kk[static_cast<size_t>(i)] *= inverse;
          kt[i] *= 1.0f + (at_[i] - 1.0f) * each(w.k_a, i);
          bonus += rt[i] * kt[i] * each(w.r_k, i);
        }
        for (int64_t o = 0; o < n; ++o) {
          float* s = state(segment) + (h + o) * n;
          float along = 0.0f, out = 0.0f;
          for (int64_t i = 0; i < n; ++i) along -= s[i] * kk[static_cast<size_t>(i)];
          for (int64_t i = 0; i < n; ++i) {
            s[i] = s[i] * wt[i] + along * kk[static_cast<size_t>(i)] * at_[i] + vt[o] * kt[i];
            out += s[i] * rt[i];
          }
          y.x[token * y.stride + h + o] = out;
        }
        float* row = y.x + token * y.stride + h;
        normalize(row, h);
        for (int64_t o = 0; o < n; ++o) row[o] += bonus * vt[o];
      }
    });
  }

  void normalize(float* head, int64_t h) const {
    pass.k.layer_norm(head, w.norm.weight.data() + h,
                      w.norm.bias.empty() ? nullptr : w.norm.bias.data() + h, t.head_size,
                      t.norm.eps, head);
  }

  // out = f2(act(f1(mix))) (+ bias)
  void low_rank(const std::vector<float>& mix, const LinearWeights& one, const LinearWeights& two,
                float (*act)(float), const std::vector<float>& bias, float* out) {
    const size_t mark = pass.arena.used();
    const Activations low = pass.arena.activations(pass.n, one.rows);
    float* rows = pass.arena.floats(pass.n * one.rows);
    shift.project(mix, one, rows);
    pass.share_tokens(pass.n, [&](int64_t token) {
      float* to = low.x + token * low.stride;
      for (int64_t i = 0; i < one.rows; ++i)
        to[i] = act == nullptr ? rows[token * one.rows + i] : act(rows[token * one.rows + i]);
      if (two.quantized_input()) pass.quantize_row(low, token);
    });
    pass.project(two, low, pass.n, out, c());
    if (!bias.empty())
      pass.share_tokens(pass.n, [&](int64_t token) {
        for (int64_t i = 0; i < c(); ++i) at(out, token)[i] += bias[static_cast<size_t>(i)];
      });
    pass.arena.reset(mark);
  }

  void prepare_version_7() {
    low_rank(
        w.mix_w, w.w1, w.w2, [](float x) { return std::tanh(x); }, w.w0, decay);
    low_rank(w.mix_a, w.a1, w.a2, nullptr, w.a0, rate);
    low_rank(w.mix_g, w.g1, w.g2, sigmoid, {}, g);
    pass.share_tokens(pass.n, [&](int64_t token) {
      for (int64_t i = 0; i < c(); ++i) {
        float &d = at(decay, token)[i], &a = at(rate, token)[i];
        d = std::exp(-0.606531f * sigmoid(d));  // exp(-1/2) sigmoid: never faster than that
        a = sigmoid(a);
      }
      if (t.first_layer) std::memcpy(at(pass.first_values, token), at(v, token), size());
    });
    if (t.first_layer) return;
    float* share = pass.arena.floats(pass.n * c());
    low_rank(w.mix_v, w.v1, w.v2, nullptr, w.v0, share);
    pass.share_tokens(pass.n, [&](int64_t token) {
      for (int64_t i = 0; i < c(); ++i)
        at(v, token)[i] +=
            (at(pass.first_values, token)[i] - at(v, token)[i]) * sigmoid(at(share, token)[i]);
    });
  }
  size_t size() const { return static_cast<size_t>(c()) * 4; }

  void gate() {
    pass.share_tokens(pass.n, [&](int64_t token) {
      float* row = y.x + token * y.stride;
      if (t.version == 5) {
        for (int64_t h = 0; h < c(); h += t.head_size) normalize(row + h, h);
        for (int64_t i = 0; i < c(); ++i) row[i] *= at(g, token)[i] * sigmoid(at(g, token)[i]);
      } else if (t.version == 7) {
        for (int64_t i = 0; i < c(); ++i) row[i] *= at(g, token)[i];
      }
      if (w.output.quantized_input()) pass.quantize_row(y, token);
    });
  }
};

}  // namespace

size_t scratch_bytes(const TimeMixSpec&, int64_t hidden, int64_t n) {
  // Low ranks are below the hidden size.
  return 9 * Arena::float_bytes(n * hidden) + 3 * Arena::activation_bytes(n, hidden);
}
size_t scratch_bytes(const ChannelMixSpec& m, int64_t hidden, int64_t n) {
  return Arena::activation_bytes(n, hidden) + Arena::activation_bytes(n, m.size) +
         Arena::float_bytes(n * m.size) + 3 * Arena::float_bytes(n * hidden);
}

// Their inputs are mixed from the normed rows first.
bool quantized_input(const TimeMixWeights&) {
  return false;
}
bool quantized_input(const ChannelMixWeights&) {
  return false;
}

void run(Pass& pass, const TimeMixSpec& t, const TimeMixWeights& w, const Branch& branch,
         const BranchWeights& weights) {
  const int64_t c = pass.spec.hidden_size;
  const auto rows = [&] { return pass.arena.floats(pass.n * c); };
  TimeMix op{pass,
             t,
             w,
             {pass, pass.recurrent++, pass.arena.activations(pass.n, c)},
             pass.arena.activations(pass.n, c),
             rows(),
             rows(),
             rows(),
             rows(),
             rows(),
             rows()};
  op.shift.project(w.mix_r, w.receptance, op.r);
  op.shift.project(w.mix_k, w.key, op.k);
  op.shift.project(w.mix_v, w.value, op.v);
  if (t.version == 4) op.mean();
  if (t.version == 5) {
    op.shift.project(w.mix_g, w.gate, op.g);
    op.matrix();
  }
  if (t.version == 7) {
    op.prepare_version_7();
    op.delta();
  }
  op.shift.keep_last();
  op.gate();
  pass.finish(w.output, op.y, branch, weights);
}

void run(Pass& pass, const ChannelMixSpec& m, const ChannelMixWeights& w, const Branch& branch,
         const BranchWeights& weights) {
  const int64_t c = pass.spec.hidden_size;
  Shift shift{pass, pass.recurrent++, pass.arena.activations(pass.n, c)};
  const Activations units = pass.arena.activations(pass.n, m.size);
  float* rows = pass.arena.floats(pass.n * m.size);
  shift.project(w.mix_k, w.key, rows);
  pass.share_tokens(pass.n, [&](int64_t t) {
    float* to = units.x + t * units.stride;
    std::memcpy(to, rows + t * m.size, static_cast<size_t>(m.size) * 4);
    apply_activation(pass.k, Activation::relu_squared, to, m.size);
    if (w.value.quantized_input()) pass.quantize_row(units, t);
  });
  float* out = pass.arena.floats(pass.n * c);
  pass.project(w.value, units, pass.n, out, c);
  if (m.receptance) {
    float* r = pass.arena.floats(pass.n * c);
    shift.project(w.mix_r, w.receptance, r);
    pass.share_tokens(pass.n, [&](int64_t t) {
      for (int64_t i = 0; i < c; ++i) out[t * c + i] *= sigmoid(r[t * c + i]);
    });
  }
  shift.keep_last();
  pass.finish(out, branch, weights);
}

}  // namespace lm
