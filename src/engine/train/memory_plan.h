// What a run's memory will be, before its first step.
#pragma once

#include <cstdint>
#include <string>

#include "engine/api/train.h"
#include "engine/train/run_plan.h"
#include "engine/train/train_model.h"

namespace lm::train {

struct TrainMemory {
  int64_t program = 0;      // all but tensors: libraries, data, tokenizer
  int64_t model = 0;        // weights, parameters, gradients
  int64_t optimizer = 0;    // its state
  int64_t activations = 0;  // kept from the forward pass for the backward pass
  int64_t scratch = 0;      // the largest piece of work at a time: a block's gradients, logits
  int64_t total() const { return program + model + optimizer + activations + scratch; }
};

// For passes of `tokens` tokens; the model must have been built under the caching allocator.
TrainMemory plan_training(TrainModel& model, const TrainOptions& options, int64_t tokens);

// Throws out_of_memory when the machine has less, naming settings that would do, with their needs.
void check_memory(TrainModel& model, const TrainOptions& options, const RunPlan& plan);

std::string describe(const TrainMemory& memory);

}  // namespace lm::train
