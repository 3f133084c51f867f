// RWKV 7, "Goose" (arXiv:2503.14456).
#include "engine/models/rwkv.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  return describe_rwkv(7, c, tensors);
}

}  // namespace

extern const Arch kArch_rwkv7;
const Arch kArch_rwkv7 = {"rwkv7", {"rwkv7"}, describe, rwkv_names(), "RWKV 7"};

}  // namespace lm
