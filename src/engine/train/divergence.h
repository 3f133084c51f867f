// What happens when a run's numbers are no numbers any more.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/train/step_passes.h"

namespace lm::train {

// Throws internal, naming the step after `step`, its rows and what the run in `output` can go on
// from, when the loss or the gradient's norm is not finite.
void check_finite(const StepSums& sums, const std::vector<Batch>& batches,
                  const std::string& output, int64_t step);

}  // namespace lm::train
