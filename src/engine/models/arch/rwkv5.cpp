// RWKV 5.2, "Eagle" (arXiv:2404.05892).
#include "engine/models/rwkv.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  return describe_rwkv(5, c, tensors);
}

}  // namespace

extern const Arch kArch_rwkv5;
const Arch kArch_rwkv5 = {"rwkv5", {"rwkv5"}, describe, rwkv_names(), "RWKV 5.2", false};

}  // namespace lm
