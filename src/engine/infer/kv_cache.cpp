#include "engine/infer/kv_cache.h"

#include <algorithm>

namespace lm {

KvCache::KvCache(const ModelSpec& spec, int64_t context, bool f16) : context_(context), f16_(f16) {
  int64_t layers = 0, head_dim = 0;
  for (const auto& layer : spec.layers)
    for (const Block& block : layer)
      if (const auto* a = std::get_if<AttentionSpec>(&block.op)) {
        ++layers;
        n_kv_heads_ = std::max(n_kv_heads_, a->n_kv_heads);
        head_dim = std::max(head_dim, a->head_dim);
      }
  const int64_t element = f16 ? 2 : 4;
  head_bytes_ = (context + 15) / 16 * 16 * head_dim * element;
  data_ = AlignedBuffer(static_cast<size_t>(layers * n_kv_heads_ * 2 * head_bytes_));
}

}  // namespace lm
