// Qwen3 (and Qwen3-Embedding): Qwen2 without biases, with an RMSNorm on every head of q and k.
#include "engine/models/llama_like.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec = describe_llama_like(c, tensors, RopeKind::half);
  add_qk_norms(spec, tensors, c.norm_eps);
  return spec;
}

}  // namespace

extern const Arch kArch_qwen3;
const Arch kArch_qwen3 = {
    "qwen3", {"qwen3"}, describe, llama_like_names(false), "Qwen3, Qwen3-Embedding"};

}  // namespace lm
