// RWKV 4 (arXiv:2305.13048).
#include "engine/models/rwkv.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  return describe_rwkv(4, c, tensors);
}

}  // namespace

extern const Arch kArch_rwkv4;
const Arch kArch_rwkv4 = {"rwkv4", {"rwkv"}, describe, rwkv_names(), "RWKV 4", false};

}  // namespace lm
