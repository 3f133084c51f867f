// A model that can be trained: built from the same description and files as for inference.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/models/model_spec.h"
#include "engine/models/open_model.h"
#include "engine/train/block.h"
#include "engine/train/head_loss.h"
#include "engine/train/parameters.h"

namespace lm::train {

struct ModelOptions {
  at::ScalarType compute = at::kFloat;  // or kBFloat16
  bool fused = true;
  bool recompute = false;  // keep the blocks' inputs only
  std::function<Role(const std::string& tensor)> role;
  CrossEntropyArgs loss;  // n_vocab, scale and cap are the model's
  float neftune = 0;      // noise in training
};

// Bytes for each token of a pass.
struct ActivationBytes {
  int64_t inputs = 0;        // of all blocks
  int64_t kept = 0;          // by all blocks beside them
  int64_t largest_kept = 0;  // by one
  int64_t scratch = 0;       // of the largest backward pass
};

class TrainModel {
 public:
  // Throws unsupported for models that are no decoders or have ops that cannot be trained.
  TrainModel(const ModelSpec& spec, const TensorFile& file, const ModelOptions& options);

  ParameterSet& parameters() { return parameters_; }
  const ModelSpec& spec() const { return spec_; }
  // After the parameters changed.
  void refresh();
  void for_each_linear(const std::function<void(Linear&)>& f);

  ActivationBytes activation_bytes() const;
  // What the output matrix and the loss work with at a time.
  int64_t head_bytes() const;

  // Forward and backward; adds gradients of weight * (sum of the targets' losses). noise_seed: of
  // NEFTune.
  LossSums step(const Batch& batch, float weight, uint64_t noise_seed);
  // Forward only.
  LossSums evaluate(const Batch& batch);
  // Logits of all positions [T, V], f32, for tests.
  at::Tensor logits(const Batch& batch);

 private:
  at::Tensor embed(const Batch& batch) const;
  at::Tensor states_with_target(const at::Tensor& x, const Batch& batch) const;
  void embedding_grad(const Batch& batch, const at::Tensor& dx);
  bool needs_input_grad(size_t block) const {
    return block > lowest_trained_ || embedding_trained_;
  }

  ModelSpec spec_;
  ModelOptions options_;
  ParameterSet parameters_;
  RopeTables ropes_;
  at::Tensor embedding_;  // [V, C] when it is no part of the output matrix
  Parameter* embedding_parameter_ = nullptr;
  at::Tensor positions_;  // learned, [positions, C] f32
  Parameter* positions_parameter_ = nullptr;
  bool tied_ = false, embedding_trained_ = false;
  size_t lowest_trained_ = 0;  // block
  std::vector<std::unique_ptr<TrainBlock>> blocks_;
  Norm embedding_norm_, final_norm_;
  Linear output_;
};

}  // namespace lm::train
