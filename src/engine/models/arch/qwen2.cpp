// Qwen2 and Qwen2.5: Llama's decoder with biases on q, k and v; rotary halves in every file format.
#include "engine/models/llama_like.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  return describe_llama_like(c, tensors, RopeKind::half);
}

}  // namespace

extern const Arch kArch_qwen2;
const Arch kArch_qwen2 = {"qwen2", {"qwen2"}, describe, llama_like_names()};

}  // namespace lm
