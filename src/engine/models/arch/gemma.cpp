// Gemma 1.
#include "engine/models/gemma_like.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  return describe_gemma(c, tensors);
}

}  // namespace

extern const Arch kArch_gemma;
const Arch kArch_gemma = {"gemma", {"gemma"}, describe, gemma_names(), "Gemma 1"};

}  // namespace lm
