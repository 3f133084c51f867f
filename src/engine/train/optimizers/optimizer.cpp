#include "engine/train/optimizers/optimizer.h"

#include "engine/core/error.h"

namespace lm::train {

#define LM_OPTIMIZER(name) std::unique_ptr<Optimizer> make_##name();
#include "engine/train/optimizers/optimizer_list.inc"
#undef LM_OPTIMIZER

std::unique_ptr<Optimizer> make_optimizer(const std::string& name) {
  std::string known;
#define LM_OPTIMIZER(one)                \
  if (name == #one) return make_##one(); \
  known += known.empty() ? #one : ", " #one;
#include "engine/train/optimizers/optimizer_list.inc"
#undef LM_OPTIMIZER
  raise(ErrorCode::bad_option, "optimizer is \"{}\"; expected one of {}", name, known);
}

}  // namespace lm::train
