// A run's state on disk: what is needed to go on as if nothing had happened.
//
// RUN/checkpoint-STEP/trainer.safetensors (parameters and the optimizer's state, f32 as computed
// with), state.json, and what the run itself puts there (the adapter). A checkpoint is written
// beside its name and renamed when it is whole.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/train/optimizers/optimizer.h"

namespace lm::train {

struct RunState {
  int64_t step = 0, tokens = 0;
  double best_loss = 0;    // of evaluations
  int64_t best_step = -1;  // -1: none yet
  int64_t without_better = 0;
  uint32_t data_hash = 0;
  std::string options;  // as JSON: those that change the numbers
};

using OptimizerStates = std::map<std::string, OptimizerState>;  // by parameter

// Writes RUN/checkpoint-STEP; more(folder) adds files. Returns its path. Throws io; the older ones
// stay as they are.
std::string save_checkpoint(const std::string& run, const RunState& state,
                            const ParameterSet& parameters, const OptimizerStates& optimizer,
                            const std::function<void(const std::string& folder)>& more);
// Throws bad_file for a checkpoint of another model (missing or other shapes).
RunState load_checkpoint(const std::string& folder, ParameterSet* parameters,
                         OptimizerStates* optimizer);

std::string checkpoint_path(const std::string& run, int64_t step);
// Whole checkpoints, oldest first.
std::vector<int64_t> checkpoint_steps(const std::string& run);
// Removes all but the newest `keep` and the one of step `best`.
void remove_old_checkpoints(const std::string& run, int64_t keep, int64_t best);

}  // namespace lm::train
