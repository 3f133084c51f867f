// The optimizer at work: its states, the learning rate of each step, averages of the weights.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "engine/api/train.h"
#include "engine/train/checkpoint.h"
#include "engine/train/optimizers/optimizer.h"
#include "engine/train/schedule.h"

namespace lm::train {

class Updater {
 public:
  // Throws bad_option for unknown optimizers and schedules.
  Updater(const TrainOptions& options, int64_t n_steps);

  // Steps count from 0.
  double rate(int64_t step) const;
  // Changes the parameters [first, last) by their gradients. norm: of all of them, for clipping;
  // n_targets: that they are a mean over.
  void update(ParameterSet& parameters, size_t first, size_t last, int64_t step, double norm,
              int64_t n_targets);
  // Whether the optimizer wants the curvature after so many steps, and taking it from gradients of
  // the loss of targets that were drawn from the model.
  bool wants_curvature(int64_t steps_done) const;
  void add_curvature(ParameterSet& parameters, size_t first, size_t last, int64_t step,
                     int64_t n_targets);

  // Whether evaluations and results use other values than those trained: their exponential moving
  // average (option ema), or what the optimizer averages.
  bool averages() const { return averages_; }
  // Puts the averages in the parameters' place and remembers what was there, until restore().
  void use_averages(ParameterSet& parameters, int64_t step);
  void restore(ParameterSet& parameters);

  OptimizerStates& states() { return states_; }
  const OptimizerStates& states() const { return states_; }

 private:
  UpdateArgs arguments(const Parameter& p, int64_t step) const;

  const TrainOptions& o_;
  std::unique_ptr<Optimizer> optimizer_;
  Moments moments_;
  ScheduleArgs schedule_;
  OptimizerStates states_;
  bool averages_ = false;
  std::map<std::string, at::Tensor> trained_;  // while averages stand in their place
};

// Bytes of state for each number that is trained.
double state_bytes(const TrainOptions& options);

}  // namespace lm::train
