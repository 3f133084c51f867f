// What the model remembers of one sequence: keys and values of attention layers, states of
// recurrent ones. Memory for keys and values is reserved for the whole context and touched only as
// positions are filled.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/core/aligned_buffer.h"
#include "engine/models/model_spec.h"

namespace lm {

// Keys and values. Attentions that use an earlier layer's (kv_from) share its slot.
class KvCache {
 public:
  // context: tokens of the text; meta tokens have their rows before them.
  // f16 halves the memory; f32 is for exact comparisons. Layers without attention take no memory.
  // Cross-attentions have room for a source as long as the encoder takes.
  KvCache(const ModelSpec& spec, int64_t context, bool f16);

  int64_t context() const { return context_; }
  bool f16() const { return f16_; }
  int64_t n_source = 0;  // positions of the encoder's text that cross-attentions see
  // attention: the number of the attention among the spec's, in order. K as blocks of 16 positions
  // [pos / 16][D][16], V as [pos][value_dim].
  void* k(size_t attention, int64_t kv_head) const { return at(attention, kv_head); }
  void* v(size_t attention, int64_t kv_head) const {
    return at(attention, kv_head) + slots_[attention].k_bytes;
  }

 private:
  struct Slot {
    size_t offset = 0, k_bytes = 0, v_bytes = 0;  // of one head
  };
  std::byte* at(size_t attention, int64_t kv_head) const {
    const Slot& s = slots_[attention];
    return data_.data() + s.offset + static_cast<size_t>(kv_head) * (s.k_bytes + s.v_bytes);
  }
  int64_t context_ = 0;
  bool f16_ = true;
  std::vector<Slot> slots_;
  AlignedBuffer data_;
};

// The states of recurrent ops, [state_floats] each, in the order of the spec.
class RecurrentState {
 public:
  explicit RecurrentState(const ModelSpec& spec);
  float* of(size_t op) { return values_.data() + begins_[op]; }
  void reset() { std::fill(values_.begin(), values_.end(), 0.0f); }

 private:
  std::vector<float> values_;
  std::vector<size_t> begins_;
};

// All that one sequence needs.
struct SequenceState {
  KvCache kv;
  RecurrentState recurrent;
  std::optional<RecurrentState> start;  // after the meta tokens, once they were evaluated
  SequenceState(const ModelSpec& spec, int64_t context, bool f16)
      : kv(spec, context, f16), recurrent(spec) {}
};

}  // namespace lm
