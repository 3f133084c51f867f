#include "engine/train/rope_tables.h"

#include <ATen/ops/empty.h>

#include <cmath>
#include <numeric>

namespace lm::train {
namespace {

void make_room(RopeTable& t, int64_t rows, size_t n) {
  t.cos = at::empty({rows, static_cast<int64_t>(n)}, at::kFloat);
  t.sin = at::empty({rows, static_cast<int64_t>(n)}, at::kFloat);
}

// Positions 0 .. n - 1 into the rows from `begin` on.
void fill(RopeTable& t, int64_t begin, int64_t n, const std::vector<double>& frequencies,
          float magnitude) {
  const auto width = static_cast<int64_t>(frequencies.size());
  float* cos = t.cos.mutable_data_ptr<float>() + begin * width;
  float* sin = t.sin.mutable_data_ptr<float>() + begin * width;
  for (int64_t p = 0; p < n; ++p)
    for (int64_t i = 0; i < width; ++i) {
      // Angles in f32, as the reference computes them.
      const float angle =
          static_cast<float>(p) * static_cast<float>(frequencies[static_cast<size_t>(i)]);
      cos[p * width + i] = std::cos(angle) * magnitude;
      sin[p * width + i] = std::sin(angle) * magnitude;
    }
}

}  // namespace

RopeTables::Entry& RopeTables::entry(const RopeSpec& rope, bool by_document) {
  for (const auto& e : entries_)
    if (e->frequencies == rope.frequencies && e->magnitude == rope.magnitude &&
        !e->document_begin.empty() == by_document)
      return *e;
  entries_.push_back(std::make_unique<Entry>(Entry{rope.frequencies, rope.magnitude, {}, {}, {}}));
  return *entries_.back();
}

const RopeTable& RopeTables::get(const RopeSpec& rope, const Batch& batch) {
  const int64_t longest = batch.longest();
  if (rope.limit == 0 || longest <= rope.limit) {
    Entry& e = entry(rope, false);
    if (!e.table.cos.defined() || e.table.cos.size(0) < longest) {
      make_room(e.table, longest, rope.frequencies.size());
      fill(e.table, 0, longest, rope.frequencies, rope.magnitude);
    }
    e.table.at = batch.positions.data();
    return e.table;
  }
  Entry& e = entry(rope, true);
  if (e.document_begin == batch.document_begin) return e.table;
  e.document_begin = batch.document_begin;
  e.rows.resize(static_cast<size_t>(batch.size()));
  std::iota(e.rows.begin(), e.rows.end(), 0);
  make_room(e.table, batch.size(), rope.frequencies.size());
  for (size_t d = 0; d + 1 < batch.document_begin.size(); ++d) {
    const int64_t begin = batch.document_begin[d], n = batch.document_begin[d + 1] - begin;
    fill(e.table, begin, n, rope_at(rope, n), rope.magnitude);
  }
  e.table.at = e.rows.data();
  return e.table;
}

}  // namespace lm::train
