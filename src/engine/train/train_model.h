// A model that can be trained: built from the same description and files as for inference.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/models/model_spec.h"
#include "engine/models/open_model.h"
#include "engine/train/block.h"
#include "engine/train/head_loss.h"
#include "engine/train/parameters.h"

namespace lm::train {

// Blocks that keep their input only, and are computed again in the backward pass.
enum class Recompute { none, mlp, all };

// The gradients of the parameters [first, last) are complete.
using OnGradients = std::function<void(size_t first, size_t last)>;

struct ModelOptions {
  at::ScalarType compute = at::kFloat;  // or kBFloat16
  bool fused = true;
  Recompute recompute = Recompute::none;
  bool grads_by_block = false;  // see ParameterSet
  std::function<Role(const std::string& tensor)> role;
  CrossEntropyArgs loss;  // n_vocab, scale and cap are the model's
  float neftune = 0;      // noise in training
  VirtualTokens::Kind virtual_kind = VirtualTokens::Kind::none;
  int64_t n_virtual = 0;
};

// Bytes for each token of a pass.
struct ActivationBytes {
  int64_t inputs = 0;        // of all blocks
  int64_t kept = 0;          // by all blocks beside them
  int64_t kept_by_mlp = 0;   // of that by MLPs
  int64_t largest_kept = 0;  // by one block
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

  const VirtualRows& virtual_rows() const { return virtual_rows_; }
  // Makes the virtual tokens what they would be if they were these tokens, one for each.
  void start_virtual_tokens(const std::vector<int64_t>& ids);

  ActivationBytes activation_bytes() const;
  // What the output matrix and the loss work with at a time.
  int64_t head_bytes() const;
  // Gradients that are there at a time when they are kept by block.
  int64_t block_grad_bytes() const;

  // Forward and backward; adds gradients of weight * (sum of the targets' losses). noise_seed: of
  // NEFTune. With draw_seed the targets are drawn from the model's own distribution. on_gradients
  // is called, when gradients are kept by block, for each block from the last on and for the rest.
  LossSums step(const Batch& batch, float weight, uint64_t noise_seed,
                std::optional<uint64_t> draw_seed = {}, const OnGradients& on_gradients = {});
  // Forward only.
  LossSums evaluate(const Batch& batch);
  // Logits of all positions [T, V], f32, for tests.
  at::Tensor logits(const Batch& batch);

 private:
  at::Tensor embed(const Batch& batch) const;
  at::Tensor states_with_target(const at::Tensor& x, const Batch& batch) const;
  void embedding_grad(const Batch& batch, const at::Tensor& dx);
  at::Tensor backward(const PassContext& pass, at::Tensor dx, std::vector<at::Tensor>& inputs,
                      std::vector<Saved>& saved, const OnGradients& on_gradients);
  bool needs_input_grad(size_t block) const {
    return block > lowest_trained_ || embedding_trained_;
  }
  bool needs_backward(size_t block) const { return block >= lowest_trained_ || embedding_trained_; }
  bool recomputed(size_t block) const {
    return options_.recompute == Recompute::all ||
           (options_.recompute == Recompute::mlp && blocks_[block]->is_mlp());
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
  std::vector<size_t> block_parameters_;  // where those of each block begin, and where the last end
  Norm embedding_norm_, final_norm_;
  VirtualRows virtual_rows_;
  Linear output_;
};

}  // namespace lm::train
