#include "engine/train/rope_tables.h"

#include <ATen/ops/empty.h>

#include <cmath>

namespace lm::train {

const RopeTable& RopeTables::get(const RopeSpec& rope, int64_t longest) {
  const std::vector<double> frequencies = rope_at(rope, longest);
  Entry* entry = nullptr;
  for (const auto& e : entries_)
    if (e->frequencies == frequencies && e->magnitude == rope.magnitude) entry = e.get();
  if (entry == nullptr) {
    entries_.push_back(std::make_unique<Entry>(Entry{frequencies, rope.magnitude, {}}));
    entry = entries_.back().get();
  }
  RopeTable& t = entry->table;
  if (t.cos.defined() && t.cos.size(0) >= longest) return t;
  const auto n = static_cast<int64_t>(frequencies.size());
  t.cos = at::empty({longest, n}, at::kFloat);
  t.sin = at::empty({longest, n}, at::kFloat);
  float *cos = t.cos.mutable_data_ptr<float>(), *sin = t.sin.mutable_data_ptr<float>();
  for (int64_t p = 0; p < longest; ++p)
    for (int64_t i = 0; i < n; ++i) {
      // Angles in f32, as the reference computes them.
      const float angle =
          static_cast<float>(p) * static_cast<float>(frequencies[static_cast<size_t>(i)]);
      cos[p * n + i] = std::cos(angle) * rope.magnitude;
      sin[p * n + i] = std::sin(angle) * rope.magnitude;
    }
  return t;
}

}  // namespace lm::train
