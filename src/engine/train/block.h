// One block of a model, x -> x + f(x), that can be run forward and backward.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

#include "engine/models/model_spec.h"
#include "engine/train/batch.h"
#include "engine/train/linear.h"
#include "engine/train/norm.h"
#include "engine/train/rope_tables.h"
#include "engine/train/virtual_tokens.h"

namespace lm::train {

// What all blocks of a pass share.
struct PassContext {
  const Batch& batch;
  RopeTables& ropes;
  const VirtualRows& virtual_rows;
};

// What a block keeps for its backward pass, in an order of its own.
using Saved = std::vector<at::Tensor>;

// Bytes for each token of a pass.
struct BlockBytes {
  int64_t kept = 0;     // beside the block's input, until the backward pass
  int64_t scratch = 0;  // of the backward pass itself, at most
};

class TrainBlock {
 public:
  virtual ~TrainBlock() = default;
  // x, result: [T, C]. saved is filled when it is not null.
  virtual at::Tensor forward(const at::Tensor& x, const PassContext& pass, Saved* saved) const = 0;
  // The gradient of x from that of the result, which is used up; adds those of the parameters. An
  // undefined tensor when need_dx is false.
  virtual at::Tensor backward(const at::Tensor& x, at::Tensor dy, const PassContext& pass,
                              Saved& saved, bool need_dx) const = 0;
  virtual bool is_mlp() const { return false; }
  virtual BlockBytes bytes_per_token() const = 0;
  virtual void refresh() = 0;
  virtual void for_each_linear(const std::function<void(Linear&)>& f) = 0;
};

// How to build blocks.
struct BlockBuilder {
  const TensorReader& reader;
  int64_t hidden;
  at::ScalarType compute;
  ParameterSet* parameters;
  std::function<Role(const std::string& tensor)> role;
  int64_t layer = 0;
};

// Own kernels; null for blocks that they cannot do.
std::unique_ptr<TrainBlock> fused_attention_block(const Block& block, const BlockBuilder& b);
std::unique_ptr<TrainBlock> fused_mlp_block(const Block& block, const BlockBuilder& b);
// libtorch's autograd; every kind of attention, MLP and mixture of experts. Throws unsupported for
// recurrent ops.
std::unique_ptr<TrainBlock> plain_block(const Block& block, const BlockBuilder& b);

}  // namespace lm::train
