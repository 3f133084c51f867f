#include "engine/models/model_spec.h"

namespace lm {

int64_t kv_bytes_per_token(const ModelSpec& spec, bool f16) {
  int64_t values = 0;
  for (const auto& layer : spec.layers)
    for (const Block& block : layer)
      if (const auto* a = std::get_if<AttentionSpec>(&block.op))
        values += 2 * a->n_kv_heads * a->head_dim;
  return values * (f16 ? 2 : 4);
}

}  // namespace lm
