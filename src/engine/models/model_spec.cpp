#include "engine/models/model_spec.h"

#include <algorithm>

namespace lm {

KvType kv_type_of(const std::string& name) {
  return name == "f32"    ? KvType::f32
         : name == "bf16" ? KvType::bf16
         : name == "int8" ? KvType::int8
         : name == "int4" ? KvType::int4
                          : KvType::f16;
}

int64_t kv_bytes_per_token(const ModelSpec& spec, KvType type) {
  int64_t bytes = 0;
  for_each_branch(spec, [&](const Branch& b) {
    if (const auto* a = std::get_if<AttentionSpec>(&b.op);
        a != nullptr && a->kv_from < 0 && !a->cross)
      bytes += a->n_kv_heads *
               (kv_key_bytes(type, a->head_dim) + kv_value_bytes(type, a->value_dim)) / kPageTokens;
  });
  return bytes;
}

int64_t state_floats(const Op& op, int64_t hidden) {
  if (const auto* s = std::get_if<SsmSpec>(&op))
    return (s->conv_size - 1) * s->channels() + s->inner_size * s->state_size;
  if (const auto* t = std::get_if<TimeMixSpec>(&op))
    return hidden + (t->version == 4 ? 3 * hidden : hidden * t->head_size);
  if (std::holds_alternative<ChannelMixSpec>(op)) return hidden;
  return 0;
}

bool ModelSpec::recurrent() const {
  bool any = false;
  for_each_branch(*this,
                  [&](const Branch& b) { any = any || state_floats(b.op, hidden_size) > 0; });
  return any;
}

int64_t ModelSpec::fixed_rope_length() const {
  int64_t least = INT64_MAX;
  for_each_branch(*this, [&](const Branch& b) {
    if (const auto* a = std::get_if<AttentionSpec>(&b.op); a != nullptr && a->rope.limit > 0)
      least = std::min(least, a->rope.limit);
  });
  return least;
}

bool ModelSpec::causal() const {
  bool all = true;
  for_each_branch(*this, [&](const Branch& b) {
    if (const auto* a = std::get_if<AttentionSpec>(&b.op)) all = all && a->causal;
  });
  return all;
}

}  // namespace lm
