// What a run works with: model, data, what is trained.
#pragma once

#include <memory>

#include "engine/api/train.h"
#include "engine/data/dataset.h"
#include "engine/models/open_model.h"
#include "engine/train/run_plan.h"
#include "engine/train/train_model.h"

namespace lm::train {

struct RunSetup {
  // Fills defaults into the options. Notes what was read, with one example and its trained part.
  RunSetup(TrainOptions& options, const TrainSink& sink);
  OpenedModel opened;
  ModelSpec spec;
  Dataset train, eval;
  std::unique_ptr<TrainModel> model;
};

// Rows of the evaluation in passes of about as many tokens as training has.
std::vector<Batch> eval_batches(const Dataset& data, const TrainOptions& options);

// What the data were, as JSON, for the run's report.
std::string data_json(const RunSetup& setup);

// The options that decide a run's numbers, as JSON, for checkpoints.
std::string options_json(const TrainOptions& options);

}  // namespace lm::train
