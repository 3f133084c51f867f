// What the tests of the training engine share: the goldens of tests/data/training (generate.py
// there) and runs of them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/api/train.h"
#include "engine/core/error.h"

namespace lm_test {

// The training engine; null, with a printed reason, where its library cannot be opened.
const lm::TrainApi* training();

// One run of a reference.
struct TrainCase {
  std::string name;
  nlohmann::json fields;  // case.json
  std::vector<double> losses, norms;
  // The same run of ours: f32, rows as they stand.
  lm::TrainOptions options(const std::string& output) const;
  std::string folder() const;
};

TrainCase train_case(const std::string& name);

struct TrainedRun {
  lm::TrainResult result;
  std::vector<lm::TrainEvent> steps, evaluations;
  std::vector<double> losses() const;
};

// needs training()
TrainedRun run_training(const lm::TrainOptions& options, lm::TrainSink sink = {});

// The folder of a run's checkpoint.
std::string checkpoint_of(const std::string& run, int64_t step);

// Loss (relative; `first`: of the first step) and gradient norm (ten times as much) of every step.
void check_steps(const TrainCase& expected, const TrainedRun& actual, double tolerance = 1e-5,
                 double first = 1e-6);
// Every tensor of the file `expected` is in the file `actual` and differs by at most `tolerance`.
void check_tensors(const std::string& expected, const std::string& actual, double tolerance);

// Two LoRA folders change every matrix by the same, to `tolerance` of its size: their A and B may
// differ by signs and rotations.
void check_changes(const std::string& expected, const std::string& actual, double tolerance);

// The message of the error that f throws; empty without one.
template <typename F>
std::string error_message(F&& f) {
  try {
    f();
  } catch (const lm::Error& e) {
    return e.message();
  }
  return "";
}

}  // namespace lm_test
