// The passes of a step, over all processes of a run: losses and gradients.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "engine/train/process_group.h"
#include "engine/train/train_model.h"

namespace lm::train {

// Over all processes.
struct StepSums {
  LossSums loss;  // nothing yet while an optimizer in the backward pass is at work
  int64_t targets = 0, tokens = 0;
  double grad_norm = 0;  // of the gradients so far
};

// Changes the parameters [first, last) by their gradients, which are complete.
using ApplyGradients = std::function<void(size_t first, size_t last, const StepSums& sums)>;

class StepPasses {
 public:
  StepPasses(TrainModel& model, ProcessGroup& group) : model_(model), group_(group) {}

  // Gradients of the mean loss of all targets of all processes' batches, applied once for all
  // parameters or, where gradients are kept for one block at a time, block by block. seed: of the
  // embeddings' noise and of the targets, which with draw are drawn from the model.
  StepSums gradients(const std::vector<Batch>& batches, uint64_t seed, bool draw,
                     const ApplyGradients& apply);
  LossSums evaluate(const std::vector<Batch>& batches);

 private:
  StepSums count(const std::vector<Batch>& batches);
  void sum_all(LossSums* sums);

  TrainModel& model_;
  ProcessGroup& group_;
};

}  // namespace lm::train
