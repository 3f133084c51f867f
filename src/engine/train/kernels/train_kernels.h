// The elementwise work of a training step over raw pointers, one table per instruction set: norms,
// rotations, gated activations, cross-entropy, AdamW. Each works on rows [begin, end); the caller
// shares rows out among threads. Rows are `ld*` elements apart. The numbers of a row do not depend
// on other rows. Arithmetic is f32 whatever the elements are.
#pragma once

#include <cstdint>

namespace lm::train {

// A bfloat16 as stored.
struct Bf16 {
  uint16_t bits;
};

enum class GateKind : uint8_t { silu, gelu_tanh, gelu_erf };

// What the loss of one row of logits is made of.
struct CrossEntropyArgs {
  int64_t n_vocab = 0;
  float logit_scale = 1.0f;  // z = softcap * tanh(logit_scale * x / softcap)
  float softcap = 0.0f;      // 0: none
  float smoothing = 0.0f;    // label smoothing: the target is (1 - s) onehot + s / V
  bool dft = false;          // each token's loss times its own probability, not differentiated
                             // (Wu et al. 2025, arXiv:2508.05629)
  float z_loss = 0.0f;       // plus this times logsumexp^2
};

struct RowLoss {
  float loss = 0, entropy = 0;  // nats
  bool correct = false;         // the target is the likeliest token
};

template <typename T>
struct RowKernels {
  // y = x * w * rstd, rstd = 1 / sqrt(mean(x^2) + eps); rstd may be null. (Zhang & Sennrich 2019)
  void (*rms_norm)(const T* x, int64_t ldx, const float* w, float eps, int64_t n, T* y, int64_t ldy,
                   float* rstd, int64_t begin, int64_t end);
  // dx += its gradient; dw (may be null) += that of w.
  void (*rms_norm_backward)(const T* dy, int64_t lddy, const T* x, int64_t ldx, const float* w,
                            const float* rstd, int64_t n, T* dx, int64_t lddx, float* dw,
                            int64_t begin, int64_t end);
  // Rotates the pairs of `heads` heads of a row, `head_dim` apart; element pairs (i, i + dim/2)
  // when half, else (2i, 2i + 1). cos, sin: [positions, dim/2]; sign -1 turns back. (Su et al.
  // 2021)
  void (*rope)(T* x, int64_t ld, int64_t heads, int64_t head_dim, int64_t dim, bool half,
               const float* cos, const float* sin, const int32_t* position, float sign,
               int64_t begin, int64_t end);
  // h = act(e) * g
  void (*glu)(GateKind kind, const T* e, const T* g, int64_t ld, int64_t n, T* h, int64_t ldh,
              int64_t begin, int64_t end);
  // From dh: h again, and de, dg in the place of e, g.
  void (*glu_backward)(GateKind kind, T* e, T* g, int64_t ld, const T* dh, int64_t lddh, int64_t n,
                       T* h, int64_t ldh, int64_t begin, int64_t end);
  // Logits become d(weight * loss)/d(logits).
  void (*cross_entropy)(const CrossEntropyArgs& args, T* logits, int64_t ld, const int64_t* target,
                        const float* weight, RowLoss* loss, bool gradient, int64_t begin,
                        int64_t end);
  // y = x * c, column by column.
  void (*scale_columns)(const T* x, int64_t ldx, const float* c, int64_t n, T* y, int64_t ldy,
                        int64_t begin, int64_t end);
  // sum[i] += the sum over `rows` rows of x * y, for the columns i of [begin, end).
  void (*column_dots)(const T* x, int64_t ldx, const T* y, int64_t ldy, int64_t rows, float* sum,
                      int64_t begin, int64_t end);
};

// Decoupled weight decay, then theta -= lr * m_hat / (sqrt(v_hat) + eps), as torch.optim.AdamW.
struct AdamwArgs {
  float lr, beta1, beta2, eps, weight_decay;
  float bias1, bias2;  // 1 - beta^t
  float grad_scale;    // of the gradient first (clipping)
};

// A tile of attention scores [rows, ld]: raw products q k, one row for each query. Row r sees the
// columns first[r] .. last[r] - 1. z = softcap * tanh(scale * x / softcap), or scale * x.
struct ScoresArgs {
  float* scores = nullptr;
  int64_t ld = 0, n_keys = 0, rows = 0;
  const int32_t *first = nullptr, *last = nullptr;
  float scale = 1.0f, softcap = 0.0f;
};

struct TrainKernels {
  const char* name;
  RowKernels<float> f32;
  RowKernels<Bf16> bf16;
  // Scores become probabilities, 0 where they are not seen; lse: log of the sum of exponentials.
  void (*softmax)(const ScoresArgs& args, float* lse);
  // The same from a known lse; then dp [rows, ld], the gradient of the probabilities, becomes that
  // of the raw scores: p (dp - delta), delta[r] = sum over p dp.
  void (*softmax_backward)(const ScoresArgs& args, const float* lse, const float* delta, float* dp);
  // [rows, n] rounded to the nearest bf16: row by row, and with rows 2i and 2i + 1 as pairs
  // [rows / 2, n, 2], as matrix units want the right factor of a product. rows must be even there.
  void (*to_bf16)(const float* x, int64_t ld, int64_t rows, int64_t n, Bf16* to, int64_t ldto);
  void (*to_bf16_pairs)(const float* x, int64_t ld, int64_t rows, int64_t n, Bf16* to);
  // Elements [begin, end).
  void (*adamw)(const AdamwArgs& args, float* p, const float* g, float* m, float* v, int64_t begin,
                int64_t end);
};

// The best table this machine can run.
const TrainKernels& train_kernels();
// All that it can run, best first; for tests.
int n_train_kernel_tables();
const TrainKernels& train_kernel_table(int i);

template <typename T>
const RowKernels<T>& row_kernels(const TrainKernels& k);
template <>
inline const RowKernels<float>& row_kernels<float>(const TrainKernels& k) {
  return k.f32;
}
template <>
inline const RowKernels<Bf16>& row_kernels<Bf16>(const TrainKernels& k) {
  return k.bf16;
}

}  // namespace lm::train
