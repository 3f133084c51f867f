// Memory for keys and values in pages of kPageTokens positions. A page holds those positions of
// every attention of the model; sequences list their pages and may share them (a prefix that they
// have in common). Memory is reserved as addresses and touched as pages are filled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/core/aligned_buffer.h"
#include "engine/kernels/cpu/kernels.h"
#include "engine/models/model_spec.h"

namespace lm {

// Not synchronised: used by one thread at a time.
class KvPages {
 public:
  // Attentions that use an earlier layer's keys (kv_from) share its place. Layers without
  // attention take no memory.
  KvPages(const ModelSpec& spec, KvType type, int64_t n_pages);

  KvType type() const { return type_; }
  int64_t n_pages() const { return static_cast<int64_t>(owners_.size()); }
  int64_t n_free() const { return static_cast<int64_t>(free_.size()); }
  size_t page_bytes() const { return page_bytes_; }

  // A page with one owner, from those used last. Throws out_of_memory when none is free.
  int32_t take();
  void retain(int32_t page) { ++owners_[static_cast<size_t>(page)]; }
  void release(int32_t page);
  bool shared(int32_t page) const { return owners_[static_cast<size_t>(page)] > 1; }

  std::byte* data(int32_t page) const {
    return data_.data() + static_cast<size_t>(page) * page_bytes_;
  }
  // Where the areas of one head begin in a page. attention: its number among the spec's, in order.
  int64_t k_offset(size_t attention, int64_t kv_head) const {
    const Place& p = places_[attention];
    return p.offset + kv_head * (p.k_bytes + p.v_bytes);
  }
  int64_t v_offset(size_t attention, int64_t kv_head) const {
    return k_offset(attention, kv_head) + places_[attention].k_bytes;
  }

 private:
  struct Place {
    int64_t offset = 0, k_bytes = 0, v_bytes = 0;  // bytes of one head
  };
  KvType type_;
  size_t page_bytes_ = 0;
  std::vector<Place> places_;
  std::vector<int32_t> owners_, free_;
  AlignedBuffer data_;
};

// Bytes of a page.
size_t kv_page_bytes(const ModelSpec& spec, KvType type);

}  // namespace lm
