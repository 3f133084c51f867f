// Llama 1-3, SmolLM 1/2, TinyLlama, Mistral 7B, Falcon 3, Mixtral. GGUF and llama2.c files keep q
// and k rows in interleaved order; Hugging Face checkpoints in halves.
#include "engine/models/llama_like.h"
#include "engine/models/moe.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec =
      describe_llama_like(c, tensors, c.gguf_layout ? RopeKind::interleaved : RopeKind::half);
  MoeConfig moe = read_moe(c);
  moe.renormalize = true;  // Mixtral takes the softmax over the chosen experts
  if (moe.n_experts > 0) add_experts(spec, c, tensors, moe);
  return spec;
}

}  // namespace

extern const Arch kArch_llama;
const Arch kArch_llama = {
    "llama",
    {"llama", "mistral", "mixtral"},
    describe,
    with_names(moe_names(), llama_like_names(true)),
    "Llama 1 to 3.3, TinyLlama, SmolLM 1 and 2, Mistral 7B, Falcon 3, Mixtral"};

}  // namespace lm
