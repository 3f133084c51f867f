#include "engine/models/model_spec.h"

namespace lm {

int64_t kv_bytes_per_token(const ModelSpec& spec, bool f16) {
  int64_t values = 0;
  for_each_branch(spec, [&](const Branch& b) {
    if (const auto* a = std::get_if<AttentionSpec>(&b.op);
        a != nullptr && a->kv_from < 0 && !a->cross)
      values += a->n_kv_heads * (a->head_dim + a->value_dim);
  });
  return values * (f16 ? 2 : 4);
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

bool ModelSpec::causal() const {
  bool all = true;
  for_each_branch(*this, [&](const Branch& b) {
    if (const auto* a = std::get_if<AttentionSpec>(&b.op)) all = all && a->causal;
  });
  return all;
}

}  // namespace lm
