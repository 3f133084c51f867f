// The output matrix and the loss, chunk by chunk: logits of the whole batch never exist, those of
// positions without a target not at all, and each chunk's gradient is made from its logits at once.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "engine/train/kernels/train_kernels.h"
#include "engine/train/linear.h"

namespace lm::train {

// Rows of logits that exist at once.
inline constexpr int64_t kHeadChunk = 512;

struct LossSums {
  double loss = 0, entropy = 0;  // over targets, nats
  int64_t correct = 0, n = 0;
  LossSums& operator+=(const LossSums& o);
};

// hidden [n, C]: final states that have a target; weight: of each target's loss in the gradient (1
// / targets of the step). Returns sums of unweighted losses. d_hidden: null for evaluation, else
// set to the gradient [n, C]; the output matrix's own is added where it is trained.
LossSums head_loss(const Linear& output, const CrossEntropyArgs& args, const at::Tensor& hidden,
                   const std::vector<int64_t>& target, float weight, at::Tensor* d_hidden);

}  // namespace lm::train
