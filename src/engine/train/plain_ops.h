// The ops of a ModelSpec in libtorch's own operations, differentiated by autograd: slow, complete
// for feed-forward models, and what the fused blocks are tested against. Internal to train.
#pragma once

#include <memory>

#include "engine/train/block.h"

namespace lm::train {

class PlainOp {
 public:
  virtual ~PlainOp() = default;
  // x: the normed input [T, C].
  virtual at::Tensor apply(const at::Tensor& x, const PassContext& pass) const = 0;
  virtual void refresh() = 0;
  virtual void for_each_linear(const std::function<void(Linear&)>& f) = 0;
};

// Throw unsupported for what they cannot do.
std::unique_ptr<PlainOp> plain_op(const AttentionSpec& spec, const BlockBuilder& b);
std::unique_ptr<PlainOp> plain_op(const MlpSpec& spec, const BlockBuilder& b);
std::unique_ptr<PlainOp> plain_op(const MoeSpec& spec, const BlockBuilder& b);

}  // namespace lm::train
