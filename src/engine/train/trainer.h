// A training run from its options to its result.
#pragma once

#include "engine/api/train.h"

namespace lm::train {

// Behind TrainApi::train.
TrainResult run_training(const TrainOptions& options, const TrainSink& sink);

}  // namespace lm::train
