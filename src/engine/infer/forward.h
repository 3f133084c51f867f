// The forward pass: interprets a ModelSpec over packed weights, for a batch of consecutive tokens
// of one sequence.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/core/aligned_buffer.h"
#include "engine/infer/kv_cache.h"
#include "engine/kernels/cpu/kernels.h"
#include "engine/models/model_spec.h"
#include "engine/models/model_weights.h"

namespace lm {

// Scratch memory of the forward pass for up to kMicroBatch tokens; one per sequence being
// evaluated.
class Forward {
 public:
  static constexpr int64_t kMicroBatch = 256;

  Forward(const ModelSpec& spec, const ModelWeights& weights, int64_t context);

  // Evaluates tokens at positions n_past .. n_past + n - 1 and extends the cache. n <= kMicroBatch.
  // logits: [n_logits, V] for the last n_logits tokens (0 is allowed). Token ids must be below the
  // vocabulary size.
  void eval(std::span<const int32_t> tokens, int64_t n_past, KvCache& cache, int64_t n_logits,
            float* logits);

 private:
  struct Pass;
  // Memory of one activation matrix in float and int8 form.
  struct Buffer {
    AlignedBuffer memory;
    Activations view;
    Buffer(int64_t tokens, int64_t cols);
  };

  const ModelSpec& spec_;
  const ModelWeights& weights_;
  int64_t qkv_size_ = 0, ffn_size_ = 0, heads_size_ = 0;
  std::vector<std::vector<double>> rope_tables_;  // the distinct frequency lists of the spec
  AlignedBuffer x_, qkv_, hidden_, rope_, scores_;
  int64_t scores_stride_ = 0, rope_dim_ = 0;
  Buffer normed_, attended_, ffn_;
};

}  // namespace lm
