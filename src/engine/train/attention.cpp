#include "engine/train/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include "engine/train/attention_bf16.h"
#include "engine/train/attention_tiles.h"

namespace lm::train {
namespace {

// A column range of a task's rows as f32, contiguous.
at::Tensor take(const at::Tensor& rows, int64_t column, int64_t n) {
  return rows.slice(1, column, column + n).to(at::kFloat).contiguous();
}

// Heads that share a kv head, one below the other: [group * n, head_dim].
at::Tensor stack_heads(const at::Tensor& rows, int64_t column, int64_t group, int64_t dim) {
  const int64_t n = rows.size(0);
  return rows.slice(1, column, column + group * dim)
      .view({n, group, dim})
      .transpose(0, 1)
      .to(at::kFloat, /*non_blocking=*/false, /*copy=*/true, at::MemoryFormat::Contiguous)
      .view({group * n, dim});
}

void unstack_heads(const at::Tensor& stacked, at::Tensor to, int64_t column, int64_t group,
                   int64_t dim) {
  const int64_t n = to.size(0);
  to.slice(1, column, column + group * dim)
      .view({n, group, dim})
      .transpose(0, 1)
      .copy_(stacked.view({group, n, dim}));
}

}  // namespace

void attention_forward(const AttentionShape& s, const Batch& batch, const at::Tensor& qkv,
                       at::Tensor& out, at::Tensor& lse) {
  if (has_bf16_attention(s, qkv)) return bf16_attention_forward(s, batch, qkv, out, lse);
  const int64_t group = s.n_heads / s.n_kv_heads, d = s.head_dim, total = batch.size();
  float* all_lse = lse.mutable_data_ptr<float>();
  for_tasks(s, batch, [&](const Task& task) {
    const at::Tensor rows = qkv.slice(0, task.begin, task.begin + task.length);
    const at::Tensor k = take(rows, s.q_width() + task.kv_head * d, d);
    const at::Tensor v = take(rows, s.q_width() + (s.n_kv_heads + task.kv_head) * d, d);
    std::vector<float> tile_lse(static_cast<size_t>(group * kTile));
    for (int64_t first = 0; first < task.length; first += kTile) {
      const Tile tile = make_tile(s, first, task.length, group);
      const at::Tensor q =
          stack_heads(rows.slice(0, first, first + tile.n), task.kv_head * group * d, group, d);
      at::Tensor scores = at::mm(q, k.slice(0, tile.key_begin, tile.key_end).t());
      train_kernels().softmax(scores_args(s, tile, scores.mutable_data_ptr<float>()),
                              tile_lse.data());
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
  if (has_bf16_attention(s, qkv)) return bf16_attention_backward(s, batch, qkv, out, lse, dout);
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
      const at::Tensor q = stack_heads(qkv.slice(0, begin, end), q_at, group, d);
      const at::Tensor o = stack_heads(out.slice(0, begin, end), q_at, group, d);
      const at::Tensor d_o = stack_heads(dout.slice(0, begin, end), q_at, group, d);
      for (int64_t g = 0; g < group; ++g)
        std::copy_n(all_lse + (task.kv_head * group + g) * total + begin, tile.n,
                    tile_lse.data() + g * tile.n);
      const at::Tensor keys = k.slice(0, tile.key_begin, tile.key_end);
      at::Tensor p = at::mm(q, keys.t());
      at::Tensor ds = at::mm(d_o, v.slice(0, tile.key_begin, tile.key_end).t());
      const at::Tensor delta = (d_o * o).sum(1);
      train_kernels().softmax_backward(scores_args(s, tile, p.mutable_data_ptr<float>()),
                                       tile_lse.data(), delta.const_data_ptr<float>(),
                                       ds.mutable_data_ptr<float>());
      dv.slice(0, tile.key_begin, tile.key_end).addmm_(p.t(), d_o);
      dk.slice(0, tile.key_begin, tile.key_end).addmm_(ds.t(), q);
      const at::Tensor dq = at::mm(ds, keys);
      unstack_heads(dq, dqkv.slice(0, begin, end), q_at, group, d);
    }
    const at::Tensor to = dqkv.slice(0, task.begin, task.begin + task.length);
    to.slice(1, k_at, k_at + d).copy_(dk);
    to.slice(1, v_at, v_at + d).copy_(dv);
  });
  return dqkv;
}

}  // namespace lm::train
