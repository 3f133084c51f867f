// Granite 3: Llama's decoder with constant factors on embedding, scores, residual branches and
// logits.
#include "engine/models/granite_like.h"
#include "engine/models/llama_like.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec =
      describe_llama_like(c, tensors, c.gguf_layout ? RopeKind::interleaved : RopeKind::half);
  apply_granite_factors(c, &spec);
  return spec;
}

}  // namespace

extern const Arch kArch_granite;
const Arch kArch_granite = {"granite", {"granite"}, describe, llama_like_names(true), "Granite 3"};

}  // namespace lm
