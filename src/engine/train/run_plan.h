// The order of a run's batches: from the seed alone, so that a resumed run goes on with the same
// ones.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/api/train.h"
#include "engine/data/dataset.h"
#include "engine/train/batch.h"

namespace lm::train {

class RunPlan {
 public:
  // One process of `size` works on its share of each step's rows: batch_size rows of a pass each.
  RunPlan(const Dataset& data, const TrainOptions& options, int64_t rank = 0, int64_t size = 1);

  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  int64_t n_steps() const { return n_steps_; }
  int64_t n_bins() const { return static_cast<int64_t>(bins_.size()); }
  double fill() const;  // tokens over slots of the packed rows
  // This process's passes of step `step` (from 0); none where the last rows are others'.
  std::vector<Batch> batches(int64_t step) const;
  double epoch(int64_t steps_done) const;
  int64_t most_tokens() const;  // of one pass

 private:
  const Dataset& data_;
  int64_t batch_size_, accumulate_, rank_, size_, steps_per_epoch_ = 0, n_steps_ = 0;
  bool shuffle_;
  uint64_t seed_;
  int64_t capacity_, n_virtual_;
  std::vector<std::vector<int64_t>> bins_;  // rows of each packed row
  mutable int64_t cached_epoch_ = -1;
  mutable std::vector<int64_t> order_;
};

// Data rows as one batch, each behind n_virtual rows that are no tokens.
Batch make_batch(const Dataset& data, const std::vector<int64_t>& rows, int64_t n_virtual);

}  // namespace lm::train
