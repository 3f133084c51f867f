// SmolLM3: Llama's decoder with some layers without positions (NoPE).
#include "engine/models/llama_like.h"

namespace lm {
namespace {

ModelSpec describe(const ModelConfig& c, const TensorMap& tensors) {
  ModelSpec spec =
      describe_llama_like(c, tensors, c.gguf_layout ? RopeKind::interleaved : RopeKind::half);
  const auto with_rope = c.source->numbers("no_rope_layers", "");  // 1: the layer rotates
  const int64_t interval = c.source->integer("no_rope_layer_interval", "").value_or(4);
  for_each_attention(spec, [&](int64_t layer, AttentionSpec& a) {
    const auto i = static_cast<size_t>(layer);
    const bool rotates =
        i < with_rope.size() ? with_rope[i] != 0 : interval <= 0 || (layer + 1) % interval != 0;
    if (!rotates) a.rope = {};
  });
  return spec;
}

}  // namespace

extern const Arch kArch_smollm3;
const Arch kArch_smollm3 = {"smollm3", {"smollm3"}, describe, llama_like_names(true), "SmolLM3"};

}  // namespace lm
