#include "engine/infer/sequence_state.h"

#include <map>

namespace lm {

KvCache::KvCache(const ModelSpec& spec, int64_t context, bool f16) : context_(context), f16_(f16) {
  const int64_t element = f16 ? 2 : 4, positions = (context + 15) / 16 * 16;
  size_t total = 0;
  std::map<int64_t, Slot> of_layer;
  for (size_t layer = 0; layer < spec.layers.size(); ++layer)
    for (const Block& block : spec.layers[layer])
      for (const Branch& branch : block.branches) {
        const auto* a = std::get_if<AttentionSpec>(&branch.op);
        if (a == nullptr) continue;
        if (a->kv_from >= 0) {
          slots_.push_back(of_layer.at(a->kv_from));
          continue;
        }
        const Slot slot{total, static_cast<size_t>(positions * a->head_dim * element)};
        total += static_cast<size_t>(2 * a->n_kv_heads) * slot.head_bytes;
        of_layer.emplace(static_cast<int64_t>(layer), slot);
        slots_.push_back(slot);
      }
  data_ = AlignedBuffer(total);
}

}  // namespace lm
