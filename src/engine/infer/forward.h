// The forward pass: interprets a ModelSpec over packed weights, for a batch of tokens of one or
// several sequences.
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

// Consecutive tokens of one sequence to evaluate.
struct Segment {
  SequenceState* state = nullptr;
  std::span<const int32_t> tokens;  // ids below the vocabulary size
  int64_t n_past = 0;               // tokens of the text in the cache before them
  int64_t length = 0;  // tokens that the sequence will have when the whole call is done, of which
                       // this may be a part; RoPE scalings look at it. 0: n_past + tokens
  std::span<const int32_t> token_types;  // of each token; empty: all 0
  // Rows that take the place of the embeddings of these tokens, [C] each, or null pointers; empty:
  // none.
  std::span<const float* const> embeddings;
  int64_t n_logits = 0;     // logits are wanted for the last n_logits tokens
  float* hidden = nullptr;  // [T, C] after the final norm, or null
  const AdapterSet* adapters = nullptr;
};

// Scratch memory of the forward pass for up to `capacity` tokens at once. Used by one thread at a
// time, for sequences of one pool of pages.
class Forward {
 public:
  static constexpr int64_t kMicroBatch = 256;

  // context: positions of a sequence at most, meta tokens not counted. capacity: tokens of one eval
  // at most. Encoders, where every token sees all others, must get whole texts at once.
  Forward(const ModelSpec& spec, const ModelWeights& weights, const KvPages& pages, int64_t context,
          int64_t capacity);
  int64_t capacity() const { return capacity_; }
  // Memory that evaluations touch, beside sequences and logits.
  static int64_t scratch_bytes(const ModelSpec& spec, int64_t context, int64_t capacity);

  // Gives the cross-attentions the encoder's hidden states, [S, C]. The state's own tokens must go.
  void set_source(std::span<const float> hidden, const AdapterSet* adapters, SequenceState& state);
  // Rows times a matrix beside the layers (patches of an image, projections of hidden states): in
  // [n, w.cols], out [n, w.rows].
  void multiply(const LinearWeights& w, std::span<const float> in, const AdapterSet* adapters,
                float* out);
  // Makes the state that of an empty text: recurrent states at their beginning, meta tokens and
  // adapters' virtual ones in the cache. They are evaluated once; whoever changes the adapters
  // resets state.start.
  void begin(const AdapterSet* adapters, SequenceState& state);
  // Evaluates tokens n_past .. n_past + n - 1 of texts that were begun, and extends their states,
  // which are prepared for them. Together at most `capacity` tokens; no state twice. logits: [sum
  // of n_logits, V] in the order of the segments. A sequence's numbers are bitwise those that it
  // has alone, in one piece or several.
  void eval(std::span<const Segment> segments, float* logits);

 private:
  void run(std::span<const Segment> segments, float* logits, Pass& pass);
  void set_segments(std::span<const Segment> segments);
  // Evaluates embeddings [n, C] as the next positions before the text.
  void put_before(std::span<const float> rows, const AdapterSet* adapters, SequenceState& state);
  // Makes keys and values the first positions.
  void put_prefix(const VirtualTokens& prefix, SequenceState& state);
  void embed_rows(std::span<const Segment> segments, Pass& pass);
  void embed(const Segment& segment, int64_t t, int64_t position, float* out) const;
  void run_block(const Block& block, const BlockWeights& weights, Pass& pass);
  void finish(std::span<const Segment> segments, float* logits, Pass& pass);
  Pass make_pass(Region& region, int64_t n);
  void fill_ropes(size_t segment, int64_t t, int64_t position);
  void add_rope(const RopeSpec& rope);

  // One distinct rotation of the spec: cos and sin of the tokens at hand, and the frequencies that
  // each segment's length gives (one list for all where the length does not matter).
  struct Rope {
    const RopeSpec* spec;
    std::vector<std::vector<double>> frequencies;
    float* cos;
    float* sin;
  };

  const ModelSpec& spec_;
  const ModelWeights& weights_;
  const KvPages& pages_;
  int64_t capacity_ = 0;
  std::vector<Rope> ropes_;
  std::vector<size_t> rope_of_attention_;
  std::vector<RopeTable> rope_tables_;  // by attention
  std::vector<PassSegment> segments_;   // of the evaluation at hand
  std::vector<AdapterRun> runs_, logit_runs_;
  std::vector<const float*> logit_rows_;  // residual rows whose logits are wanted
  AlignedBuffer x_, x_before_, first_values_, rope_, scratch_, arena_;
  int64_t scratch_floats_ = 0;
};

}  // namespace lm
