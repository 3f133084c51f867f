// Qwen2 and Qwen2.5: Llama's decoder with biases on q, k and v; rotary halves in every file format.
// With use_sliding_window the layers from max_window_layers on have a window.
#include "engine/models/llama_like.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec = describe_llama_like(c, tensors, RopeKind::half);
  const int64_t first = c.source->integer("max_window_layers", "").value_or(0);
  for_each_attention(spec, [&](int64_t layer, AttentionSpec& a) {
    if (layer < first) a.window = 0;
  });
  return spec;
}

}  // namespace

extern const Arch kArch_qwen2;
const Arch kArch_qwen2 = {"qwen2", {"qwen2"}, describe, llama_like_names(false), "Qwen2, Qwen2.5"};

}  // namespace lm
