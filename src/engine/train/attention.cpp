#include "engine/train/attention.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <atomic>
#include <numeric>

#include "engine/train/kernels/train_kernels.h"

namespace lm::train {
namespace {

constexpr int64_t kTile = 64;  // queries of each head

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

// A column range of a task's rows as f32, contiguous, times a factor.
at::Tensor take(const at::Tensor& rows, int64_t column, int64_t n, float factor = 1.0f) {
  at::Tensor out = rows.slice(1, column, column + n).to(at::kFloat).contiguous();
  return factor == 1.0f ? out : out * factor;
}

// The query tile [first, first + n) of a document against its keys.
struct Tile {
  int64_t first = 0, n = 0;            // queries
  int64_t key_begin = 0, key_end = 0;  // keys that some query sees
  std::vector<int32_t> from, to;       // visible columns of each row [group * n]
  int64_t n_keys() const { return key_end - key_begin; }
};

Tile make_tile(const AttentionShape& s, int64_t first, int64_t length, int64_t group) {
  Tile t;
  t.first = first;
  t.n = std::min(kTile, length - first);
  t.key_end = first + t.n;
  t.key_begin = s.window > 0 ? std::max<int64_t>(0, first - s.window + 1) : 0;
  for (int64_t g = 0; g < group; ++g)
    for (int64_t i = first; i < first + t.n; ++i) {
      const int64_t begin = s.window > 0 ? std::max<int64_t>(0, i - s.window + 1) : 0;
      t.from.push_back(static_cast<int32_t>(begin - t.key_begin));
      t.to.push_back(static_cast<int32_t>(i + 1 - t.key_begin));
    }
  return t;
}

// Heads that share a kv head, one below the other: [group * n, head_dim].
at::Tensor stack_heads(const at::Tensor& rows, int64_t column, int64_t group, int64_t dim,
                       float factor) {
  const int64_t n = rows.size(0);
  at::Tensor out =
      rows.slice(1, column, column + group * dim)
          .view({n, group, dim})
          .transpose(0, 1)
          .to(at::kFloat, /*non_blocking=*/false, /*copy=*/true, at::MemoryFormat::Contiguous)
          .view({group * n, dim});
  if (factor != 1.0f) out.mul_(factor);
  return out;
}

void unstack_heads(const at::Tensor& stacked, at::Tensor to, int64_t column, int64_t group,
                   int64_t dim) {
  const int64_t n = to.size(0);
  to.slice(1, column, column + group * dim)
      .view({n, group, dim})
      .transpose(0, 1)
      .copy_(stacked.view({group, n, dim}));
}

ScoresArgs scores_args(const AttentionShape& s, const Tile& tile, at::Tensor& scores) {
  ScoresArgs a;
  a.scores = scores.mutable_data_ptr<float>();
  a.ld = a.n_keys = tile.n_keys();
  a.rows = scores.size(0);
  a.first = tile.from.data();
  a.last = tile.to.data();
  a.softcap = s.softcap;
  return a;
}

}  // namespace

void attention_forward(const AttentionShape& s, const Batch& batch, const at::Tensor& qkv,
                       at::Tensor& out, at::Tensor& lse) {
  const int64_t group = s.n_heads / s.n_kv_heads, d = s.head_dim, total = batch.size();
  float* all_lse = lse.mutable_data_ptr<float>();
  for_tasks(s, batch, [&](const Task& task) {
    const at::Tensor rows = qkv.slice(0, task.begin, task.begin + task.length);
    const at::Tensor k = take(rows, s.q_width() + task.kv_head * d, d);
    const at::Tensor v = take(rows, s.q_width() + (s.n_kv_heads + task.kv_head) * d, d);
    std::vector<float> tile_lse(static_cast<size_t>(group * kTile));
    for (int64_t first = 0; first < task.length; first += kTile) {
      const Tile tile = make_tile(s, first, task.length, group);
      const at::Tensor q = stack_heads(rows.slice(0, first, first + tile.n),
                                       task.kv_head * group * d, group, d, s.scale);
      at::Tensor scores = at::mm(q, k.slice(0, tile.key_begin, tile.key_end).t());
      train_kernels().softmax(scores_args(s, tile, scores), tile_lse.data());
      const at::Tensor o = at::mm(scores, v.slice(0, tile.key_begin, tile.key_end));
      unstack_heads(o, out.slice(0, task.begin + first, task.begin + first + tile.n),
                    task.kv_head * group * d, group, d);
      for (int64_t g = 0; g < group; ++g)
        std::copy_n(tile_lse.data() + g * tile.n, tile.n,
                    all_lse + (task.kv_head * group + g) * total + task.begin + first);
    }
  });
}

at::Tensor attention_backward(const AttentionShape& s, const Batch& batch, const at::Tensor& qkv,
                              const at::Tensor& out, const at::Tensor& lse,
                              const at::Tensor& dout) {
  const int64_t group = s.n_heads / s.n_kv_heads, d = s.head_dim, total = batch.size();
  const float* all_lse = lse.const_data_ptr<float>();
  at::Tensor dqkv = at::empty({total, s.width()}, qkv.scalar_type());
  for_tasks(s, batch, [&](const Task& task) {
    const at::Tensor rows = qkv.slice(0, task.begin, task.begin + task.length);
    const int64_t q_at = task.kv_head * group * d, k_at = s.q_width() + task.kv_head * d,
                  v_at = s.q_width() + (s.n_kv_heads + task.kv_head) * d;
    const at::Tensor k = take(rows, k_at, d), v = take(rows, v_at, d);
    at::Tensor dk = at::zeros({task.length, d}, at::kFloat);
    at::Tensor dv = at::zeros({task.length, d}, at::kFloat);
    std::vector<float> tile_lse(static_cast<size_t>(group * kTile));
    for (int64_t first = 0; first < task.length; first += kTile) {
      const Tile tile = make_tile(s, first, task.length, group);
      const int64_t begin = task.begin + first, end = begin + tile.n;
      const at::Tensor q = stack_heads(qkv.slice(0, begin, end), q_at, group, d, s.scale);
      const at::Tensor o = stack_heads(out.slice(0, begin, end), q_at, group, d, 1.0f);
      const at::Tensor d_o = stack_heads(dout.slice(0, begin, end), q_at, group, d, 1.0f);
      for (int64_t g = 0; g < group; ++g)
        std::copy_n(all_lse + (task.kv_head * group + g) * total + begin, tile.n,
                    tile_lse.data() + g * tile.n);
      const at::Tensor keys = k.slice(0, tile.key_begin, tile.key_end);
      at::Tensor p = at::mm(q, keys.t());
      at::Tensor ds = at::mm(d_o, v.slice(0, tile.key_begin, tile.key_end).t());
      const at::Tensor delta = (d_o * o).sum(1);
      train_kernels().softmax_backward(scores_args(s, tile, p), tile_lse.data(),
                                       delta.const_data_ptr<float>(), ds.mutable_data_ptr<float>());
      dv.slice(0, tile.key_begin, tile.key_end).addmm_(p.t(), d_o);
      dk.slice(0, tile.key_begin, tile.key_end).addmm_(ds.t(), q);
      const at::Tensor dq = at::mm(ds, keys).mul_(s.scale);
      unstack_heads(dq, dqkv.slice(0, begin, end), q_at, group, d);
    }
    const at::Tensor to = dqkv.slice(0, task.begin, task.begin + task.length);
    to.slice(1, k_at, k_at + d).copy_(dk);
    to.slice(1, v_at, v_at + d).copy_(dv);
  });
  return dqkv;
}

}  // namespace lm::train
