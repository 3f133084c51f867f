// Mamba 2.
#include "engine/models/ssm.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  return describe_stack(c, tensors, describe_mamba2);
}

}  // namespace

extern const Arch kArch_mamba2;
const Arch kArch_mamba2 = {"mamba2", {"mamba2"}, describe, mamba_names(), "Mamba 2"};

}  // namespace lm
