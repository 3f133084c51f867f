// Keys and values of one sequence. Memory is reserved for the whole context and touched only as
// positions are filled.
#pragma once

#include <cstdint>

#include "engine/core/aligned_buffer.h"
#include "engine/models/model_spec.h"

namespace lm {

class KvCache {
 public:
  // f16 halves the memory; f32 is for exact comparisons. Layers without attention take no memory.
  KvCache(const ModelSpec& spec, int64_t context, bool f16);

  int64_t context() const { return context_; }
  bool f16() const { return f16_; }
  // The cache of one kv head: K as blocks of 16 positions [pos / 16][D][16], V as [pos][D].
  void* k(size_t attention_layer, int64_t kv_head) const { return at(attention_layer, kv_head, 0); }
  void* v(size_t attention_layer, int64_t kv_head) const { return at(attention_layer, kv_head, 1); }

 private:
  std::byte* at(size_t layer, int64_t kv_head, int which) const {
    return data_.data() +
           static_cast<size_t>(((static_cast<int64_t>(layer) * n_kv_heads_ + kv_head) * 2 + which) *
                               head_bytes_);
  }
  int64_t context_ = 0, n_kv_heads_ = 0, head_bytes_ = 0;
  bool f16_ = true;
  AlignedBuffer data_;
};

}  // namespace lm
