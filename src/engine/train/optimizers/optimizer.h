// Optimizers: what a gradient does to a parameter. Adding one: a file and a line in
// optimizer_list.inc.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>

#include "engine/train/parameters.h"

namespace lm::train {

struct Moments {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, momentum = 0;
};

struct UpdateArgs : Moments {
  double lr = 0;
  double weight_decay = 0;  // of this parameter
  double grad_scale = 1;    // of the gradient first (clipping)
  int64_t step = 1;         // from 1
  int64_t n_targets = 0;    // that the gradient is a mean over
};

// What an optimizer remembers of one parameter, by name; saved with checkpoints.
using OptimizerState = std::map<std::string, at::Tensor>;

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // Its own numbers, where the options leave them open.
  virtual Moments defaults() const { return {}; }
  // Bytes of state for each number that is trained.
  virtual double state_bytes() const = 0;
  // Changes p.value; the state is empty before the first update.
  virtual void update(Parameter& p, OptimizerState& state, const UpdateArgs& args) const = 0;
  // The values to evaluate with and to keep, where they are not p.value; undefined otherwise.
  virtual at::Tensor average(const Parameter& /*p*/, const OptimizerState& /*state*/,
                             const UpdateArgs& /*args*/) const {
    return {};
  }
  // Steps between two calls of add_curvature, for which p.grad is the gradient of the loss of
  // targets drawn from the model; 0: never.
  virtual int64_t curvature_every() const { return 0; }
  virtual void add_curvature(Parameter& /*p*/, OptimizerState& /*state*/,
                             const UpdateArgs& /*args*/) const {}
};

// Throws bad_option listing those known.
std::unique_ptr<Optimizer> make_optimizer(const std::string& name);

}  // namespace lm::train
