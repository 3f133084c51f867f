// Mamba 1 and Falcon-Mamba.
#include "engine/models/ssm.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  return describe_stack(c, tensors, describe_mamba);
}

}  // namespace

extern const Arch kArch_mamba;
const Arch kArch_mamba = {
    "mamba", {"mamba", "falcon_mamba"}, describe, mamba_names(), "Mamba, Falcon-Mamba"};

}  // namespace lm
