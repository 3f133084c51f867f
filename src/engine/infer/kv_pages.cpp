#include "engine/infer/kv_pages.h"

#include <map>

#include "engine/core/error.h"

namespace lm {
namespace {

// Calls f(attention, whether its keys are its own) for the attentions of a spec in order, then
// with `layer` the number of the layer that it is in.
template <typename F>
void for_each_attention(const ModelSpec& spec, F&& f) {
  for (size_t layer = 0; layer < spec.layers.size(); ++layer)
    for (const Block& block : spec.layers[layer])
      for (const Branch& branch : block.branches)
        if (const auto* a = std::get_if<AttentionSpec>(&branch.op))
          f(*a, static_cast<int64_t>(layer));
}

int64_t round_up_64(int64_t n) {
  return (n + 63) / 64 * 64;
}

int64_t k_bytes(const AttentionSpec& a, KvType type) {
  return round_up_64(kv_key_bytes(type, a.head_dim));
}
int64_t v_bytes(const AttentionSpec& a, KvType type) {
  return round_up_64(kv_value_bytes(type, a.value_dim));
}

}  // namespace

size_t kv_page_bytes(const ModelSpec& spec, KvType type) {
  int64_t total = 0;
  for_each_attention(spec, [&](const AttentionSpec& a, int64_t) {
    if (a.kv_from < 0) total += a.n_kv_heads * (k_bytes(a, type) + v_bytes(a, type));
  });
  return static_cast<size_t>(total);
}

KvPages::KvPages(const ModelSpec& spec, KvType type, int64_t n_pages)
    : type_(type), page_bytes_(kv_page_bytes(spec, type)), owners_(static_cast<size_t>(n_pages)) {
  int64_t offset = 0;
  std::map<int64_t, Place> of_layer;
  for_each_attention(spec, [&](const AttentionSpec& a, int64_t layer) {
    if (a.kv_from >= 0) {
      places_.push_back(of_layer.at(a.kv_from));
      return;
    }
    const Place place{offset, k_bytes(a, type), v_bytes(a, type)};
    offset += a.n_kv_heads * (place.k_bytes + place.v_bytes);
    if (!a.cross) of_layer.emplace(layer, place);
    places_.push_back(place);
  });
  free_.reserve(owners_.size());
  for (int64_t page = n_pages; page-- > 0;) free_.push_back(static_cast<int32_t>(page));
  data_ = AlignedBuffer(static_cast<size_t>(n_pages) * page_bytes_);
}

int32_t KvPages::take() {
  LM_CHECK(!free_.empty(), ErrorCode::out_of_memory,
           "all {} pages of the key/value cache ({} tokens each) are in use", n_pages(),
           kPageTokens);
  const int32_t page = free_.back();
  free_.pop_back();
  owners_[static_cast<size_t>(page)] = 1;
  return page;
}

void KvPages::release(int32_t page) {
  if (--owners_[static_cast<size_t>(page)] == 0) free_.push_back(page);
}

}  // namespace lm
