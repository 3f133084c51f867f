#include "engine/infer/sequence_state.h"

#include <map>

namespace lm {

namespace {
int64_t round_up(int64_t n) {
  return (n + 15) / 16 * 16;  // K comes in blocks of 16 positions
}
}  // namespace

KvCache::KvCache(const ModelSpec& spec, int64_t context, bool f16) : context_(context), f16_(f16) {
  const int64_t element = f16 ? 2 : 4, positions = round_up(context + spec.n_meta);
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
        const int64_t rows = a->cross ? round_up(spec.encoder->context_length) : positions;
        const Slot slot{total, static_cast<size_t>(rows * a->head_dim * element),
                        static_cast<size_t>(rows * a->value_dim * element)};
        total += static_cast<size_t>(a->n_kv_heads) * (slot.k_bytes + slot.v_bytes);
        if (!a->cross) of_layer.emplace(static_cast<int64_t>(layer), slot);
        slots_.push_back(slot);
      }
  data_ = AlignedBuffer(total);
}

RecurrentState::RecurrentState(const ModelSpec& spec) {
  size_t total = 0;
  for_each_branch(spec, [&](const Branch& branch) {
    const auto n = static_cast<size_t>(state_floats(branch.op, spec.hidden_size));
    if (n == 0) return;
    begins_.push_back(total);
    total += n;
  });
  values_.resize(total);
}

}  // namespace lm
