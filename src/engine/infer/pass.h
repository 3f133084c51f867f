// One evaluation of some tokens, as one thread of the region sees it. Every thread makes the same
// sequence of calls; work inside of a call is shared out over the threads and ends at a barrier.
// Internal to infer; the ops (infer/ops) are written against it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/core/thread_pool.h"
#include "engine/infer/sequence_state.h"
#include "engine/kernels/cpu/kernels.h"
#include "engine/models/adapters.h"
#include "engine/models/model_spec.h"
#include "engine/models/model_weights.h"

namespace lm {

inline int64_t round_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

// Elements from one row of Activations of `cols` columns to the next.
int64_t activation_stride(int64_t cols);

// Memory that ops take from the front and give back when their block ends. All threads take the
// same pieces in the same order, so each has its own copy of the position.
class Arena {
 public:
  Arena(std::byte* data, size_t size) : data_(data), size_(size) {}
  // Throws internal when the op's scratch_bytes() was too small.
  std::byte* take(size_t bytes);
  float* floats(int64_t n) { return reinterpret_cast<float*>(take(static_cast<size_t>(n) * 4)); }
  Activations activations(int64_t tokens, int64_t cols);
  size_t used() const { return used_; }
  void reset(size_t used) { used_ = used; }

  static size_t float_bytes(int64_t n) { return (static_cast<size_t>(n) * 4 + 63) / 64 * 64; }
  static size_t activation_bytes(int64_t tokens, int64_t cols);

 private:
  std::byte* data_;
  size_t size_, used_ = 0;
};

// cos and sin of the new positions for one RopeSpec: [T, dim/2] each.
struct RopeTable {
  const float* cos = nullptr;
  const float* sin = nullptr;
};

// Where a token stands: its position in its text, and the cache rows that the text fills.
struct Place {
  int64_t position, first, end;  // cache rows first .. end - 1; the token's own is first + position
};

struct Pass {
  Region& region;
  const Kernels& k;
  const ModelSpec& spec;
  KvCache& cache;
  RecurrentState& states;
  const AdapterSet* adapters;  // null: none
  Arena arena;
  int64_t n_past, n;       // positions before; tokens in this pass
  float* x;                // [n, hidden]: the residual stream
  Activations normed;      // [n, hidden]: input of the op that runs
  float* scores;           // of this thread; for kAttentionRows rows over the whole context
  const RopeTable* ropes;  // by attention
  const Place* places;     // [n]
  size_t attention = 0;    // number of the next attention op
  size_t recurrent = 0;    // number of the next recurrent op
  float* first_values;     // [n, hidden]: RWKV 7's values of the first layer

  template <typename F>
  void share_tokens(int64_t count, F&& each) {
    const int64_t chunk = std::max<int64_t>(1, count / (4 * region.n_threads()));
    region.share(count, chunk, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) each(t);
    });
  }

  void norm_row(const NormSpec& norm, const NormWeights& w, const float* in, int64_t size,
                float* out) const;
  void quantize_row(const Activations& a, int64_t t) const;
  void quantize(const Activations& a, int64_t count) {
    share_tokens(count, [&](int64_t t) { quantize_row(a, t); });
  }
  // normed = norm(rows of `in`); in the int8 form too when `quantized`.
  void normalize(const NormSpec& norm, const NormWeights& w, const float* in, int64_t count,
                 bool quantized);

  // out = scale * W in + bias for `count` rows. Epilogues swiglu and geglu want interleaved
  // weights; add wants weights without scale.
  void project(const LinearWeights& w, const Activations& in, int64_t count, float* out,
               int64_t ldo, Epilogue epilogue = Epilogue::store);
  // Whether an adapter changes this op.
  bool adapted(const LinearWeights& w) const;
  // x += scale * post_norm(W in): how a branch ends.
  void finish(const LinearWeights& w, const Activations& in, const Branch& branch,
              const BranchWeights& weights);
  // The same for a result that is already there: `out` [n, hidden] is changed.
  void finish(float* out, const Branch& branch, const BranchWeights& weights);

 private:
  void multiply(const LinearWeights& w, const Activations& in, int64_t count, float* out,
                int64_t ldo, Epilogue epilogue);
};

// Applies an activation in place.
void apply_activation(const Kernels& k, Activation activation, float* x, int64_t n);

// Ops: how each kind runs, and what it takes from the arena for n tokens.
void run(Pass& pass, const AttentionSpec& a, const AttentionWeights& w, const Branch& branch,
         const BranchWeights& weights);
void run(Pass& pass, const MlpSpec& m, const MlpWeights& w, const Branch& branch,
         const BranchWeights& weights);
void run(Pass& pass, const MoeSpec& m, const MoeWeights& w, const Branch& branch,
         const BranchWeights& weights);
void run(Pass& pass, const SsmSpec& s, const SsmWeights& w, const Branch& branch,
         const BranchWeights& weights);
// Projects the encoder's hidden states to the keys and values of cross-attention number
// pass.attention and stores them.
void store_source(Pass& pass, const AttentionSpec& a, const AttentionWeights& w,
                  const Activations& source);
void run(Pass& pass, const TimeMixSpec& t, const TimeMixWeights& w, const Branch& branch,
         const BranchWeights& weights);
void run(Pass& pass, const ChannelMixSpec& m, const ChannelMixWeights& w, const Branch& branch,
         const BranchWeights& weights);
size_t scratch_bytes(const TimeMixSpec& t, int64_t hidden, int64_t n);
size_t scratch_bytes(const ChannelMixSpec& m, int64_t hidden, int64_t n);
size_t scratch_bytes(const AttentionSpec& a, int64_t hidden, int64_t n);
size_t scratch_bytes(const MlpSpec& m, int64_t hidden, int64_t n);
size_t scratch_bytes(const MoeSpec& m, int64_t hidden, int64_t n);
size_t scratch_bytes(const SsmSpec& s, int64_t hidden, int64_t n);
// Whether the op reads its input in the int8 form.
bool quantized_input(const AttentionWeights& w);
bool quantized_input(const MlpWeights& w);
bool quantized_input(const MoeWeights& w);
bool quantized_input(const SsmWeights& w);
bool quantized_input(const TimeMixWeights& w);
bool quantized_input(const ChannelMixWeights& w);

// The hidden units of an MLP: activation(gate) * up, or activation(up), for `count` rows of `in`.
// Result in the form that `w.out` reads. Takes mlp_scratch_bytes from the arena.
Activations mlp_hidden(Pass& pass, const MlpSpec& m, const MlpWeights& w, const Activations& in,
                       int64_t count);

}  // namespace lm
