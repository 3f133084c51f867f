// The forward pass: interprets a ModelSpec over packed weights, for a batch of consecutive tokens
// of one sequence.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/core/aligned_buffer.h"
#include "engine/infer/pass.h"
#include "engine/infer/sequence_state.h"
#include "engine/models/model_spec.h"
#include "engine/models/model_weights.h"

namespace lm {

inline constexpr int64_t kTextAlign = 16;

// What one evaluation reads and gives.
struct EvalRequest {
  std::span<const int32_t> tokens;  // ids below the vocabulary size
  int64_t n_past = 0;               // tokens of the text in the cache before them
  int64_t length = 0;  // tokens that the sequence will have when the whole call is done, of which
                       // this may be a part; RoPE scalings look at it. 0: n_past + tokens
  // Several texts at once, from an empty cache: the numbers of tokens of each, adding up to all.
  // Each begins at a cache row that is a multiple of kTextAlign, which makes its result bitwise the
  // one it has alone. Empty: one text. Models with meta tokens take one.
  std::span<const int64_t> texts;
  std::span<const int32_t> token_types;  // of each token; empty: all 0
  // Rows that take the place of the embeddings of these tokens, [C] each, or null pointers; empty:
  // none.
  std::span<const float* const> embeddings;
  int64_t n_logits = 0;     // logits are wanted for the last n_logits tokens
  float* logits = nullptr;  // [n_logits, V]
  float* hidden = nullptr;  // [T, C] after the final norm, or null
  const AdapterSet* adapters = nullptr;
};

// Scratch memory of the forward pass for up to `capacity` tokens; one per sequence being evaluated.
class Forward {
 public:
  static constexpr int64_t kMicroBatch = 256;

  // capacity: tokens of one eval at most. Encoders, where every token sees all others, must get
  // whole texts at once.
  Forward(const ModelSpec& spec, const ModelWeights& weights, int64_t context, int64_t capacity);

  // Gives the cross-attentions the encoder's hidden states, [S, C]. The state's own tokens must go.
  void set_source(std::span<const float> hidden, const AdapterSet* adapters, SequenceState& state);
  // Rows times a matrix beside the layers (patches of an image, projections of hidden states): in
  // [n, w.cols], out [n, w.rows].
  void multiply(const LinearWeights& w, std::span<const float> in, const AdapterSet* adapters,
                SequenceState& state, float* out);
  // Makes the state that of an empty text: recurrent states at their beginning, meta tokens in the
  // cache. They are evaluated once; whoever changes the adapters resets state.start.
  void begin(const AdapterSet* adapters, SequenceState& state);
  // Evaluates tokens n_past .. n_past + n - 1 of a text that was begun, and extends the state.
  void eval(const EvalRequest& request, SequenceState& state);

 private:
  void run(const EvalRequest& request, Pass& pass);
  // n_past: positions in the cache, meta tokens included.
  void eval_at(const EvalRequest& request, int64_t n_past, SequenceState& state);
  void set_places(const EvalRequest& request, int64_t n_past);
  void embed(const EvalRequest& request, int64_t t, float* out) const;
  void run_block(const Block& block, const BlockWeights& weights, Pass& pass);
  Pass make_pass(Region& region, SequenceState& state, const AdapterSet* adapters, int64_t n_past,
                 int64_t n);
  void set_lengths(int64_t length);
  void fill_ropes(int64_t t, int64_t position);
  void add_rope(const RopeSpec& rope);

  // One distinct rotation of the spec: frequencies for the length at hand, cos and sin of the new
  // positions.
  struct Rope {
    const RopeSpec* spec;
    std::vector<double> frequencies;
    float* cos;
    float* sin;
  };

  const ModelSpec& spec_;
  const ModelWeights& weights_;
  int64_t capacity_ = 0;
  std::vector<Rope> ropes_;
  std::vector<size_t> rope_of_attention_;
  std::vector<RopeTable> rope_tables_;  // by attention
  std::vector<Place> places_;           // of the tokens at hand
  AlignedBuffer x_, x_before_, first_values_, rope_, scores_, arena_;
  int64_t scores_stride_ = 0;
};

}  // namespace lm
