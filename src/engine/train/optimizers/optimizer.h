// Optimizers: what a gradient does to a parameter. Adding one: a file and a line in
// optimizer_list.inc.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>

#include "engine/train/parameters.h"

namespace lm::train {

struct UpdateArgs {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, momentum = 0;
  double weight_decay = 0;  // of this parameter
  double grad_scale = 1;    // of the gradient first (clipping)
  int64_t step = 1;         // from 1
};

// What an optimizer remembers of one parameter, by name; saved with checkpoints.
using OptimizerState = std::map<std::string, at::Tensor>;

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // Numbers it keeps for each one that is trained.
  virtual int64_t states() const = 0;
  // Changes p.value; the state is empty before the first update.
  virtual void update(Parameter& p, OptimizerState& state, const UpdateArgs& args) const = 0;
};

// Throws bad_option listing those known.
std::unique_ptr<Optimizer> make_optimizer(const std::string& name);

}  // namespace lm::train
