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

// How much the run may take: memory_limit, or this process's share of what the machine has free.
int64_t memory_room(const TrainOptions& options, int64_t local_processes);

// For passes of `tokens` tokens; the model must have been built under the caching allocator.
TrainMemory plan_training(TrainModel& model, const TrainOptions& options, int64_t tokens);

// Throws out_of_memory for runs that need more than `room`, naming settings that would do, with
// their needs.
void check_memory(TrainModel& model, const TrainOptions& options, const RunPlan& plan,
                  int64_t room);

// auto_batch_size: halves batch_size and doubles accumulate while passes of batch_size * max_length
// tokens need more than `room`. Whether it did.
bool shrink_passes(TrainModel& model, TrainOptions* options, int64_t room);

std::string describe(const TrainMemory& memory);

}  // namespace lm::train
