// What a run leaves for others: adapters, models.
#pragma once

#include "engine/api/train.h"
#include "engine/train/run_setup.h"

namespace lm::train {

// RUN/options.json and RUN/data.json, which `resume` and the report read.
void write_description(const RunSetup& setup, const TrainOptions& options);

// The adapter in PEFT's format in `folder`; nothing when the weights themselves are trained.
void save_adapter(RunSetup& setup, const TrainOptions& options, const std::string& folder);

// RUN/adapter, or RUN/model for trained weights; fills the result's paths.
void save_result(RunSetup& setup, const TrainOptions& options, TrainResult* result);

}  // namespace lm::train
