// How attention is cut into pieces: a task for each document and kv head, tiles of queries in it.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "engine/train/attention.h"
#include "engine/train/kernels/train_kernels.h"

namespace lm::train {

inline constexpr int64_t kTile = 64;  // queries of each head

// One document and one kv head: all that a thread works on by itself.
struct Task {
  int64_t begin, length, kv_head;
};

// Runs f(task) for all of them, the longest first, so that threads end together.
template <typename F>
void for_tasks(const AttentionShape& s, const Batch& batch, F&& f) {
  std::vector<Task> tasks;
  for (int64_t d = 0; d < batch.n_documents(); ++d) {
    const int64_t begin = batch.document_begin[static_cast<size_t>(d)];
    const int64_t length = batch.document_begin[static_cast<size_t>(d) + 1] - begin;
    for (int64_t k = 0; k < s.n_kv_heads; ++k) tasks.push_back({begin, length, k});
  }
  std::stable_sort(tasks.begin(), tasks.end(),
                   [](const Task& a, const Task& b) { return a.length > b.length; });
  std::atomic<size_t> next{0};
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (size_t t; (t = next.fetch_add(1)) < tasks.size();) f(tasks[t]);
  });
}

// The query tile [first, first + n) of a document against its keys. Queries and keys can be rounded
// up to a multiple: those beyond the document see nothing and are not seen.
struct Tile {
  int64_t first = 0, n = 0, padded = 0;  // queries
  int64_t key_begin = 0, key_end = 0;    // keys that some query sees
  std::vector<int32_t> from, to;         // visible columns of each row [group * padded]
  int64_t n_keys() const { return key_end - key_begin; }
};

inline int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

inline Tile make_tile(const AttentionShape& s, int64_t first, int64_t length, int64_t group,
                      int64_t multiple = 1) {
  Tile t;
  t.first = first;
  t.n = std::min(kTile, length - first);
  t.padded = round_up(t.n, multiple);
  t.key_end = round_up(first + t.n, multiple);
  t.key_begin = s.window > 0 ? std::max<int64_t>(0, first - s.window + 1) / multiple * multiple : 0;
  for (int64_t g = 0; g < group; ++g)
    for (int64_t i = first; i < first + t.padded; ++i) {
      const bool real = i < first + t.n;
      const int64_t begin = s.window > 0 ? std::max<int64_t>(0, i - s.window + 1) : 0;
      t.from.push_back(real ? static_cast<int32_t>(begin - t.key_begin) : 0);
      t.to.push_back(real ? static_cast<int32_t>(i + 1 - t.key_begin) : 0);
    }
  return t;
}

// scores [group * padded, n_keys]
inline ScoresArgs scores_args(const AttentionShape& s, const Tile& tile, float* scores) {
  ScoresArgs a;
  a.scores = scores;
  a.ld = a.n_keys = tile.n_keys();
  a.rows = static_cast<int64_t>(tile.from.size());
  a.first = tile.from.data();
  a.last = tile.to.data();
  a.scale = s.scale;
  a.softcap = s.softcap;
  return a;
}

}  // namespace lm::train
