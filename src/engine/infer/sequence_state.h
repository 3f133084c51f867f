// What the model remembers of one sequence: keys and values of attention layers, in pages, and the
// states of recurrent layers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/infer/kv_pages.h"
#include "engine/models/model_spec.h"

namespace lm {

// The states of recurrent ops, [state_floats] each, in the order of the spec.
class RecurrentState {
 public:
  explicit RecurrentState(const ModelSpec& spec);
  float* of(size_t op) { return values_.data() + begins_[op]; }
  void reset() { std::fill(values_.begin(), values_.end(), 0.0f); }
  std::vector<float>& values() { return values_; }
  const std::vector<float>& values() const { return values_; }

 private:
  std::vector<float> values_;
  std::vector<size_t> begins_;
};

// Pages of one text, in order.
class PageList {
 public:
  explicit PageList(KvPages& pool) : pool_(pool) {}
  ~PageList() { resize(0); }
  PageList(const PageList&) = delete;
  PageList& operator=(const PageList&) = delete;

  int64_t size() const { return static_cast<int64_t>(pages_.size()); }
  int32_t operator[](int64_t i) const { return pages_[static_cast<size_t>(i)]; }
  KvPages& pool() const { return pool_; }
  // Memory of the pages, as the kernels want it.
  const std::byte* const* data() const { return data_.data(); }
  std::byte* at(int64_t i) const { return data_[static_cast<size_t>(i)]; }

  // Drops pages from the end, or takes fresh ones. Throws out_of_memory; then nothing changed.
  void resize(int64_t n);
  // Becomes a co-owner of a page and puts it at the end.
  void share(int32_t page);
  // Puts another page in the place of page i.
  void replace(int64_t i, int32_t page);
  // Makes page i one that nobody else sees, with the same content.
  void make_own(int64_t i);
  // Pages that make_own() and resize() would take for positions first .. end - 1 to be written.
  int64_t n_wanted(int64_t first, int64_t end) const;

 private:
  KvPages& pool_;
  std::vector<int32_t> pages_;
  std::vector<std::byte*> data_;
};

// All that one sequence needs.
struct SequenceState {
  PageList pages;
  PageList source_pages;  // of the encoder's text, for cross-attentions
  int64_t n_source = 0;   // positions of that text
  RecurrentState recurrent;
  std::optional<RecurrentState> start;  // before the text, once what comes first is evaluated
  int64_t n_before;  // positions before the text: meta tokens and adapters' virtual ones
  SequenceState(const ModelSpec& spec, KvPages& pool)
      : pages(pool), source_pages(pool), recurrent(spec), n_before(spec.n_meta) {}

  // Makes room for positions first .. end - 1 (those before the text count) and writable what is
  // there.
  void prepare(int64_t first, int64_t end);
  // Forgets everything but the first `rows` positions of the keys and values.
  void truncate(int64_t rows);
};

constexpr int64_t pages_for(int64_t rows) {
  return (rows + kPageTokens - 1) / kPageTokens;
}

}  // namespace lm
