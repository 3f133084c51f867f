// Llama 1-3, SmolLM 1/2, TinyLlama, Mistral 7B, Falcon 3. GGUF and llama2.c files keep q and k rows
// in interleaved order; Hugging Face checkpoints in halves.
#include "engine/models/llama_like.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  return describe_llama_like(c, tensors, c.gguf_layout ? RopeKind::interleaved : RopeKind::half);
}

}  // namespace

extern const Arch kArch_llama;
const Arch kArch_llama = {"llama", {"llama", "mistral"}, describe, llama_like_names()};

}  // namespace lm
