// Included once per instruction set, inside a namespace of its own; the loops are plain, the
// compiler makes vectors of them.
#include <bit>
#include <cmath>

#include "engine/train/kernels/train_kernels.h"

namespace lm::train::LM_TRAIN_ISA {
namespace {

inline float load(float x) { return x; }
inline float load(Bf16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }
inline void store(float* to, float x) { *to = x; }
// To the nearest, ties to even; NaN stays NaN.
inline void store(Bf16* to, float x) {
  const uint32_t b = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = (b + 0x7fffu + ((b >> 16) & 1u)) >> 16;
  to->bits = static_cast<uint16_t>((b & 0x7fffffffu) > 0x7f800000u ? (b >> 16) | 0x40u : rounded);
}

// exp with an error below 1.2e-7 of the result; 0 below -87.3, 1.7e38 above 88 (Cephes' expf).
inline float fast_exp(float x) {
  x = x < -87.3f ? -87.3f : (x > 88.0f ? 88.0f : x);
  const float n = __builtin_rintf(x * 1.44269504088896341f);
  float r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const int32_t e = static_cast<int32_t>(n) + 127;
  return p * std::bit_cast<float>(e << 23);
}

inline float fast_tanh(float x) {
  const float a = x < 0 ? -x : x;
  const float e = fast_exp(-2.0f * a);
  const float t = (1.0f - e) / (1.0f + e);
  return x < 0 ? -t : t;
}

inline float sigmoid(float x) { return 1.0f / (1.0f + fast_exp(-x)); }

template <typename T>
void rms_norm(const T* x, int64_t ldx, const float* w, float eps, int64_t n, T* y, int64_t ldy,
              float* rstd, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    const T* in = x + t * ldx;
    T* out = y + t * ldy;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; ++i) sum += load(in[i]) * load(in[i]);
    const float r = 1.0f / std::sqrt(sum / static_cast<float>(n) + eps);
    if (rstd != nullptr) rstd[t] = r;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) store(out + i, load(in[i]) * r * w[i]);
  }
}

template <typename T>
void rms_norm_backward(const T* dy, int64_t lddy, const T* x, int64_t ldx, const float* w,
                       const float* rstd, int64_t n, T* dx, int64_t lddx, float* dw, int64_t begin,
                       int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    const T *in = x + t * ldx, *grad = dy + t * lddy;
    T* out = dx + t * lddx;
    const float r = rstd[t];
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < n; ++i) dot += load(grad[i]) * w[i] * load(in[i]);
    const float c = dot * r * r / static_cast<float>(n);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i)
      store(out + i, load(out[i]) + r * (load(grad[i]) * w[i] - load(in[i]) * c));
    if (dw == nullptr) continue;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) dw[i] += load(grad[i]) * load(in[i]) * r;
  }
}

template <typename T>
void rope(T* x, int64_t ld, int64_t heads, int64_t head_dim, int64_t dim, bool half,
          const float* cos, const float* sin, const int32_t* position, float sign, int64_t begin,
          int64_t end) {
  const int64_t pairs = dim / 2;
  for (int64_t t = begin; t < end; ++t) {
    const float *c = cos + position[t] * pairs, *s = sin + position[t] * pairs;
    for (int64_t h = 0; h < heads; ++h) {
      T* v = x + t * ld + h * head_dim;
      if (half) {
        T* u = v + pairs;
#pragma omp simd
        for (int64_t i = 0; i < pairs; ++i) {
          const float a = load(v[i]), b = load(u[i]);
          store(v + i, a * c[i] - sign * b * s[i]);
          store(u + i, b * c[i] + sign * a * s[i]);
        }
      } else {
        for (int64_t i = 0; i < pairs; ++i) {
          const float a = load(v[2 * i]), b = load(v[2 * i + 1]);
          store(v + 2 * i, a * c[i] - sign * b * s[i]);
          store(v + 2 * i + 1, b * c[i] + sign * a * s[i]);
        }
      }
    }
  }
}

struct Gate {
  float value, slope;
};

template <GateKind kind>
inline Gate gate(float x) {
  if constexpr (kind == GateKind::silu) {
    const float s = sigmoid(x);
    return {x * s, s * (1.0f + x * (1.0f - s))};
  } else if constexpr (kind == GateKind::gelu_tanh) {
    const float k = 0.7978845608028654f, c = 0.044715f;
    const float t = fast_tanh(k * (x + c * x * x * x));
    return {0.5f * x * (1.0f + t),
            0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * k * (1.0f + 3.0f * c * x * x)};
  } else {
    const float phi = 0.5f * (1.0f + std::erf(x * 0.7071067811865476f));
    return {x * phi, phi + x * 0.3989422804014327f * fast_exp(-0.5f * x * x)};
  }
}

template <GateKind kind, typename T>
void glu_rows(const T* e, const T* g, int64_t ld, int64_t n, T* h, int64_t ldh, int64_t begin,
              int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    const T *er = e + t * ld, *gr = g + t * ld;
    T* hr = h + t * ldh;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) store(hr + i, gate<kind>(load(er[i])).value * load(gr[i]));
  }
}

template <GateKind kind, typename T>
void glu_backward_rows(T* e, T* g, int64_t ld, const T* dh, int64_t lddh, int64_t n, T* h,
                       int64_t ldh, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    T *er = e + t * ld, *gr = g + t * ld, *hr = h + t * ldh;
    const T* dr = dh + t * lddh;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const Gate a = gate<kind>(load(er[i]));
      const float up = load(gr[i]), d = load(dr[i]);
      store(hr + i, a.value * up);
      store(gr + i, d * a.value);
      store(er + i, d * up * a.slope);
    }
  }
}

template <typename T>
void glu(GateKind kind, const T* e, const T* g, int64_t ld, int64_t n, T* h, int64_t ldh,
         int64_t begin, int64_t end) {
  switch (kind) {
    case GateKind::silu:
      return glu_rows<GateKind::silu>(e, g, ld, n, h, ldh, begin, end);
    case GateKind::gelu_tanh:
      return glu_rows<GateKind::gelu_tanh>(e, g, ld, n, h, ldh, begin, end);
    case GateKind::gelu_erf:
      return glu_rows<GateKind::gelu_erf>(e, g, ld, n, h, ldh, begin, end);
  }
}

template <typename T>
void glu_backward(GateKind kind, T* e, T* g, int64_t ld, const T* dh, int64_t lddh, int64_t n, T* h,
                  int64_t ldh, int64_t begin, int64_t end) {
  switch (kind) {
    case GateKind::silu:
      return glu_backward_rows<GateKind::silu>(e, g, ld, dh, lddh, n, h, ldh, begin, end);
    case GateKind::gelu_tanh:
      return glu_backward_rows<GateKind::gelu_tanh>(e, g, ld, dh, lddh, n, h, ldh, begin, end);
    case GateKind::gelu_erf:
      return glu_backward_rows<GateKind::gelu_erf>(e, g, ld, dh, lddh, n, h, ldh, begin, end);
  }
}

// With p = softmax(z), q the smoothed target: loss = lse - sum q z, d/dz = p - q; z = cap(x) gives
// d/dx = (p - q) * scale * (1 - (z/cap)^2).
// The arguments are copied: a store to the logits could change them, as far as the compiler knows.
template <typename T, bool kCapped>
void cross_entropy_rows(const CrossEntropyArgs a, T* logits, int64_t ld, const int64_t* target,
                        const float* weight, RowLoss* loss, bool gradient, int64_t begin,
                        int64_t end) {
  const int64_t n = a.n_vocab;
  const float scale = a.logit_scale, cap = a.softcap;
  const auto z_of = [scale, cap](float x) {
    return kCapped ? cap * fast_tanh(scale * x / cap) : scale * x;
  };
  for (int64_t t = begin; t < end; ++t) {
    T* row = logits + t * ld;
    float most = -INFINITY;
    if (kCapped || scale != 1.0f) {
      for (int64_t i = 0; i < n; ++i) {
        const float z = z_of(load(row[i]));
        most = z > most ? z : most;
      }
    } else {
#pragma omp simd reduction(max : most)
      for (int64_t i = 0; i < n; ++i) most = load(row[i]) > most ? load(row[i]) : most;
    }
    // Sums of sixteen lanes' worth at a time in double keep 50,000 terms exact to 1e-7.
    double sum = 0, weighted = 0, total = 0;
    constexpr int64_t kPart = 1024;
    for (int64_t at = 0; at < n; at += kPart) {
      const int64_t stop = at + kPart < n ? at + kPart : n;
      float s = 0, sz = 0, all = 0;
#pragma omp simd reduction(+ : s, sz, all)
      for (int64_t i = at; i < stop; ++i) {
        const float z = z_of(load(row[i])) - most;
        const float e = fast_exp(z);
        s += e;
        sz += e * z;
        all += z;
      }
      sum += static_cast<double>(s);
      weighted += static_cast<double>(sz);
      total += static_cast<double>(all);
    }
    const double log_sum = std::log(sum), lse = log_sum + static_cast<double>(most);
    const double z_target = static_cast<double>(z_of(load(row[target[t]]))) - static_cast<double>(most);
    const double smooth = static_cast<double>(a.smoothing);
    const double nll = log_sum - z_target, p_target = std::exp(-nll);
    double value = (1.0 - smooth) * nll + smooth * (log_sum - total / static_cast<double>(n));
    const double factor = a.dft ? p_target : 1.0;
    value = value * factor + static_cast<double>(a.z_loss) * lse * lse;
    loss[t].loss = static_cast<float>(value);
    loss[t].entropy = static_cast<float>(log_sum - weighted / sum);
    loss[t].correct = z_target == 0.0;
    if (!gradient) continue;
    const float inverse = static_cast<float>(1.0 / sum);
    const float f = weight[t] * static_cast<float>(factor);
    const float scale_p = f + weight[t] * 2.0f * a.z_loss * static_cast<float>(lse);
    const float spread = a.smoothing / static_cast<float>(n);
    const float x_target = load(row[target[t]]);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float x = load(row[i]), z = z_of(x);
      float d = scale_p * fast_exp(z - most) * inverse - f * spread;
      if (kCapped) d *= 1.0f - (z / cap) * (z / cap);
      store(row + i, d * scale);
    }
    const float z = z_of(x_target);
    float d = scale_p * fast_exp(z - most) * inverse - f * (spread + 1.0f - a.smoothing);
    if (kCapped) d *= 1.0f - (z / cap) * (z / cap);
    store(row + target[t], d * scale);
  }
}

template <typename T>
void cross_entropy(const CrossEntropyArgs& a, T* logits, int64_t ld, const int64_t* target,
                   const float* weight, RowLoss* loss, bool gradient, int64_t begin, int64_t end) {
  const auto rows = a.softcap > 0 ? cross_entropy_rows<T, true> : cross_entropy_rows<T, false>;
  rows(a, logits, ld, target, weight, loss, gradient, begin, end);
}

template <typename T>
void scale_columns(const T* x, int64_t ldx, const float* c, int64_t n, T* y, int64_t ldy, int64_t begin,
                   int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    const T* from = x + t * ldx;
    T* to = y + t * ldy;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) store(to + i, load(from[i]) * c[i]);
  }
}

template <typename T>
void column_dots(const T* x, int64_t ldx, const T* y, int64_t ldy, int64_t rows, float* sum, int64_t begin,
                 int64_t end) {
  for (int64_t t = 0; t < rows; ++t) {
    const T *a = x + t * ldx, *b = y + t * ldy;
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) sum[i] += load(a[i]) * load(b[i]);
  }
}

void softmax(const ScoresArgs& a, float* lse) {
  for (int64_t r = 0; r < a.rows; ++r) {
    float* row = a.scores + r * a.ld;
    const int64_t first = a.first[r], last = a.last[r];
    const float scale = a.scale;
    float most = -INFINITY;
    if (a.softcap > 0) {
#pragma omp simd reduction(max : most)
      for (int64_t i = first; i < last; ++i) {
        row[i] = a.softcap * fast_tanh(scale * row[i] / a.softcap);
        most = row[i] > most ? row[i] : most;
      }
    } else {
#pragma omp simd reduction(max : most)
      for (int64_t i = first; i < last; ++i) {
        row[i] *= scale;
        most = row[i] > most ? row[i] : most;
      }
    }
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = first; i < last; ++i) {
      row[i] = fast_exp(row[i] - most);
      sum += row[i];
    }
    const float inverse = 1.0f / sum;
#pragma omp simd
    for (int64_t i = first; i < last; ++i) row[i] *= inverse;
    for (int64_t i = 0; i < first; ++i) row[i] = 0;
    for (int64_t i = last; i < a.n_keys; ++i) row[i] = 0;
    lse[r] = most + std::log(sum);
  }
}

void softmax_backward(const ScoresArgs& a, const float* lse, const float* delta, float* dp) {
  for (int64_t r = 0; r < a.rows; ++r) {
    float *row = a.scores + r * a.ld, *d = dp + r * a.ld;
    const int64_t first = a.first[r], last = a.last[r];
    const float l = lse[r], c = delta[r], cap = a.softcap, scale = a.scale;
    if (cap > 0) {
#pragma omp simd
      for (int64_t i = first; i < last; ++i) {
        const float t = fast_tanh(scale * row[i] / cap);
        row[i] = fast_exp(cap * t - l);
        d[i] = row[i] * (d[i] - c) * (1.0f - t * t) * scale;
      }
    } else {
#pragma omp simd
      for (int64_t i = first; i < last; ++i) {
        row[i] = fast_exp(scale * row[i] - l);
        d[i] = row[i] * (d[i] - c) * scale;
      }
    }
    for (int64_t i = 0; i < first; ++i) row[i] = d[i] = 0;
    for (int64_t i = last; i < a.n_keys; ++i) row[i] = d[i] = 0;
  }
}

void to_bf16(const float* x, int64_t ld, int64_t rows, int64_t n, Bf16* to, int64_t ldto) {
  for (int64_t r = 0; r < rows; ++r)
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) store(to + r * ldto + i, x[r * ld + i]);
}

void to_bf16_pairs(const float* x, int64_t ld, int64_t rows, int64_t n, Bf16* to) {
  for (int64_t r = 0; r < rows; r += 2) {
    const float *even = x + r * ld, *odd = even + ld;
    auto* pairs = reinterpret_cast<uint32_t*>(to + r * n);
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      Bf16 low, high;
      store(&low, even[i]);
      store(&high, odd[i]);
      pairs[i] = uint32_t{low.bits} | uint32_t{high.bits} << 16;
    }
  }
}

void adamw(const AdamwArgs& a, float* p, const float* g, float* m, float* v, int64_t begin,
           int64_t end) {
  const float step = a.lr / a.bias1, root = 1.0f / std::sqrt(a.bias2), keep = 1.0f - a.lr * a.weight_decay;
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    const float grad = g[i] * a.grad_scale;
    const float m1 = m[i] + (grad - m[i]) * (1.0f - a.beta1);
    const float v1 = v[i] * a.beta2 + grad * grad * (1.0f - a.beta2);
    m[i] = m1;
    v[i] = v1;
    p[i] = p[i] * keep - step * m1 / (std::sqrt(v1) * root + a.eps);
  }
}

template <typename T>
constexpr RowKernels<T> kRows = {rms_norm<T>, rms_norm_backward<T>, rope<T>, glu<T>, glu_backward<T>, cross_entropy<T>,
                                  scale_columns<T>, column_dots<T>};

}  // namespace

extern const TrainKernels kTable;
const TrainKernels kTable = {LM_TRAIN_ISA_NAME, kRows<float>, kRows<Bf16>, softmax, softmax_backward, to_bf16,
                             to_bf16_pairs, adamw};

}  // namespace lm::train::LM_TRAIN_ISA
