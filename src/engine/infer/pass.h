// One evaluation of some tokens of one or several sequences, as one thread of the region sees it.
// Every thread makes the same sequence of calls; work inside of a call is shared out over the
// threads and ends at a barrier. Internal to infer; the ops (infer/ops) are written against it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

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

// Consecutive tokens of one sequence: rows begin .. end - 1 of the pass.
struct PassSegment {
  int64_t begin, end;
  int64_t n_past;  // positions of the sequence before them, meta tokens included
  SequenceState* state;
  int64_t size() const { return end - begin; }
  int64_t length() const { return n_past + size(); }  // positions of the sequence after the pass
};

// Rows that the same adapters change; null: none.
struct AdapterRun {
  int64_t begin, end;
  const AdapterSet* adapters;
};

struct Pass {
  Region& region;
  const Kernels& k;
  const ModelSpec& spec;
  const KvPages& cache;
  std::span<const PassSegment> segments;
  std::span<const AdapterRun> adapters;  // one run that never ends where all rows have the same
  Arena arena;
  int64_t n;               // tokens in this pass
  float* x;                // [n, hidden]: the residual stream
  Activations normed;      // [n, hidden]: input of the op that runs
  float* scratch;          // of this thread: attention_scratch_floats()
  const RopeTable* ropes;  // by attention
  size_t attention = 0;    // number of the next attention op
  size_t recurrent = 0;    // number of the next recurrent op
  float* first_values;     // [n, hidden]: RWKV 7's values of the first layer
  bool fine_inputs;        // two int8 planes everywhere

  // Position of row t of `segment` in its sequence.
  static int64_t position(const PassSegment& segment, int64_t t) {
    return segment.n_past + t - segment.begin;
  }
  float* recurrent_state(const PassSegment& segment, size_t op) const {
    return segment.state->recurrent.of(op);
  }

  template <typename F>
  void share_tokens(int64_t count, F&& each) {
    const int64_t chunk = std::max<int64_t>(1, count / (4 * region.n_threads()));
    region.share(count, chunk, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) each(t);
    });
  }

  // each(segment, row) for every token.
  template <typename F>
  void share_rows(F&& each) {
    share_tokens(n, [&](int64_t t) { each(segment_of(t), t); });
  }
  const PassSegment& segment_of(int64_t t) const {
    return *std::prev(std::upper_bound(
        segments.begin(), segments.end(), t,
        [](int64_t row, const PassSegment& segment) { return row < segment.begin; }));
  }

  void norm_row(const NormSpec& norm, const NormWeights& w, const float* in, int64_t size,
                float* out) const;
  void quantize_row(const Activations& a, int64_t t) const;
  void quantize(const Activations& a, int64_t count) {
    share_tokens(count, [&](int64_t t) { quantize_row(a, t); });
  }
  // `a`, in one int8 plane where the precision allows. For inputs of attention and of feed-forward
  // blocks and what attention gives: what feeds a down projection, a recurrent state or the output
  // matrix costs more accuracy (docs/design/kernels.md) and always has two.
  Activations coarse(Activations a) const {
    if (!fine_inputs) a.q_low = nullptr;
    return a;
  }
  // normed = norm(rows of `in`); in the int8 form too when `quantized`.
  void normalize(const NormSpec& norm, const NormWeights& w, const float* in, int64_t count,
                 bool quantized);

  // out = scale * W in + bias for `count` rows. Epilogues swiglu and geglu want interleaved
  // weights; add wants weights without scale and adapters that only add (see rescaled).
  void project(const LinearWeights& w, const Activations& in, int64_t count, float* out,
               int64_t ldo, Epilogue epilogue = Epilogue::store);
  // Whether an adapter changes this op for any row.
  bool adapted(const LinearWeights& w) const;
  // Whether an adapter scales rows of its result.
  bool rescaled(const LinearWeights& w) const;
  // x += scale * post_norm(W in): how a branch ends.
  void finish(const LinearWeights& w, const Activations& in, const Branch& branch,
              const BranchWeights& weights);
  // The same for a result that is already there: `out` [n, hidden] is changed.
  void finish(float* out, const Branch& branch, const BranchWeights& weights);

 private:
  void scale_rows(const LinearWeights& w, const AdapterSet& set, int64_t count, float* out,
                  int64_t ldo);
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
// Stores a prefix's keys and values for attention number pass.attention, which becomes the next, as
// the first positions of the pass's only sequence.
void store_prefix(Pass& pass, const AttentionSpec& a, const VirtualTokens& prefix);
void run(Pass& pass, const TimeMixSpec& t, const TimeMixWeights& w, const Branch& branch,
         const BranchWeights& weights);
void run(Pass& pass, const ChannelMixSpec& m, const ChannelMixWeights& w, const Branch& branch,
         const BranchWeights& weights);
size_t scratch_bytes(const TimeMixSpec& t, int64_t hidden, int64_t n);
size_t scratch_bytes(const ChannelMixSpec& m, int64_t hidden, int64_t n);
size_t scratch_bytes(const AttentionSpec& a, int64_t hidden, int64_t n);
// What attention takes for results of single chunks of the keys, for sequences of up to `context`
// positions.
size_t attention_chunk_bytes(const AttentionSpec& a, int64_t context);
// Floats that each thread needs for itself.
int64_t attention_scratch_floats(const AttentionSpec& a);
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
