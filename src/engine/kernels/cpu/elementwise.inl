// Norms, activations, rotary positions and int8 rows, compiled once for each instruction set. One row at a time, in L1.
// Included by kernels_<isa>.cpp inside the namespace of that instruction set.

// Blocks of 32. One plane (q_low is null): d = amax / 127, x / d rounded to nearest even. Two: d = amax / (127 * 256), x / d rounded to nearest even, split as 256 q + q_low. q_low stays above -128 (an
// error of one part in 32512, once in a while): some instruction sets need |q_low| to fit 7 bits. Zeros have d = 0.
void quantize_row(const float* x, int64_t n, int8_t* q, int8_t* q_low, float* d, float* dsum, int32_t* sum) {
  const float most = q_low != nullptr ? 127.0f * 256.0f : 127.0f;
  for (int64_t b = 0; b < n / kQuantBlock; ++b, x += kQuantBlock, q += kQuantBlock) {
    Vec largest = Vec::set(0.0f);
    for (int i = 0; i < kQuantBlock; i += Vec::N) largest = max(largest, abs(Vec::load(x + i)));
    const float amax = largest.max();
    const float scale = amax / most, inverse = amax > 0.0f ? most / amax : 0.0f;
    for (int half = 0; half < 2; ++half) {
      int32_t total = 0;
      for (int i = 16 * half; i < 16 * (half + 1); i += Vec::N) {
        const Vec code = round_even(Vec::load(x + i) * Vec::set(inverse));
        total += q_low != nullptr ? store_planes(code, q + i, q_low + b * kQuantBlock + i) : store_plane(code, q + i);
      }
      sum[2 * b + half] = total;
    }
    d[b] = scale;
    dsum[b] = scale * static_cast<float>(sum[2 * b] + sum[2 * b + 1]);
  }
}

void rms_norm(const float* x, const float* w, int64_t n, float eps, float* out) {
  Vec squares = Vec::set(0.0f);
  int64_t i = 0;
  for (; i + Vec::N <= n; i += Vec::N) squares = fma(Vec::load(x + i), Vec::load(x + i), squares);
  float total = squares.sum();
  for (int64_t j = i; j < n; ++j) total += x[j] * x[j];
  const float scale = 1.0f / std::sqrt(total / static_cast<float>(n) + eps);
  for (i = 0; i + Vec::N <= n; i += Vec::N) (Vec::load(x + i) * Vec::set(scale) * Vec::load(w + i)).store(out + i);
  for (; i < n; ++i) out[i] = x[i] * scale * w[i];
}

void layer_norm(const float* x, const float* w, const float* b, int64_t n, float eps, float* out) {
  float mean = 0, var = 0;
  for (int64_t i = 0; i < n; ++i) mean += x[i];
  mean /= static_cast<float>(n);
  for (int64_t i = 0; i < n; ++i) var += (x[i] - mean) * (x[i] - mean);
  const float scale = 1.0f / std::sqrt(var / static_cast<float>(n) + eps);
  for (int64_t i = 0; i < n; ++i) out[i] = (x[i] - mean) * scale * w[i] + (b ? b[i] : 0.0f);
}

void silu(float* x, int64_t n) {
  int64_t i = 0;
  for (; i + Vec::N <= n; i += Vec::N) silu(Vec::load(x + i)).store(x + i);
  for (; i < n; ++i) x[i] = x[i] / (1.0f + std::exp(-x[i]));
}

void exponentials(float* x, int64_t n) {
  const auto step = [](float* at) {
    const Vec v = Vec::load(at);
    exp(v).store(at);
    for (int i = 0; i < Vec::N; ++i) at[i] = at[i] < 2e-38f ? 0.0f : at[i];  // exp() stops at -87
  };
  int64_t i = 0;
  for (; i + Vec::N <= n; i += Vec::N) step(x + i);
  if (i == n) return;
  float rest[Vec::N] = {};
  std::copy(x + i, x + n, rest);
  step(rest);
  std::copy_n(rest, n - i, x + i);
}

void gelu(float* x, int64_t n, bool tanh_form) {
  int64_t i = 0;
  if (tanh_form)
    for (; i + Vec::N <= n; i += Vec::N) gelu_tanh(Vec::load(x + i)).store(x + i);
  for (; i < n; ++i) {
    const float v = x[i];
    x[i] = tanh_form ? 0.5f * v * (1.0f + std::tanh(0.7978845608f * (v + 0.044715f * v * v * v)))
                     : 0.5f * v * (1.0f + std::erf(v * 0.70710678f));
  }
}

void rope(float* x, int64_t n, const float* cos, const float* sin, bool half) {
  const int64_t h = n / 2;
  for (int64_t i = 0; i < h; ++i) {
    float& a = half ? x[i] : x[2 * i];
    float& b = half ? x[i + h] : x[2 * i + 1];
    const float x0 = a, x1 = b;
    a = x0 * cos[i] - x1 * sin[i];
    b = x0 * sin[i] + x1 * cos[i];
  }
}

int64_t argmax(const float* x, int64_t n) {
  Vec largest = Vec::set(x[0]);
  int64_t i = 0;
  for (; i + Vec::N <= n; i += Vec::N) largest = max(largest, Vec::load(x + i));
  float best = largest.max();
  for (; i < n; ++i) best = x[i] > best ? x[i] : best;
  for (i = 0; i < n; ++i)
    if (x[i] == best) return i;
  return 0;  // only NaNs
}
