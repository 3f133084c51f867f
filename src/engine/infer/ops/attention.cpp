// Attention over the cache: projections, norms and rotary positions of the new tokens, storing keys
// and values, scores of every head, output projection.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/infer/pass.h"

namespace lm {
namespace {

// Where q, k and v of a token lie in its row.
struct RowLayout {
  int64_t width;
  int64_t q_step, k_begin, k_step, v_begin, v_step;
};

RowLayout row_layout(const AttentionSpec& a) {
  const int64_t q = a.n_heads * a.head_dim, k = a.n_kv_heads * a.head_dim;
  if (a.kv_from >= 0 || a.cross) return {q, a.head_dim, 0, 0, 0, 0};
  if (a.fused_by_head) {
    const int64_t step = 2 * a.head_dim + a.value_dim;
    return {a.n_heads * step, step, a.head_dim, step, 2 * a.head_dim, step};
  }
  return {q + k + a.n_kv_heads * a.value_dim, a.head_dim, q, a.head_dim, q + k, a.value_dim};
}

struct Attention {
  Pass& pass;
  const AttentionSpec& a;
  const AttentionWeights& w;
  RowLayout at;
  float* rows;  // [n, at.width]
  size_t index;
  Activations attended;

  float* row(int64_t t) const { return rows + t * at.width; }

  void norm_heads(const NormSpec& norm, const NormWeights& weights, float* heads, int64_t n_heads,
                  int64_t step) const {
    if (norm.kind == NormKind::none) return;
    if (a.norm_whole) return pass.norm_row(norm, weights, heads, n_heads * a.head_dim, heads);
    const bool own = static_cast<int64_t>(weights.weight.size()) > a.head_dim;
    for (int64_t h = 0; h < n_heads; ++h) {
      const float* weight = weights.weight.data() + (own ? h * a.head_dim : 0);
      float* x = heads + h * step;
      if (norm.kind == NormKind::rms)
        pass.k.rms_norm(x, weight, a.head_dim, norm.eps, x);
      else
        pass.k.layer_norm(x, weight, nullptr, a.head_dim, norm.eps, x);
    }
  }

  void rotate(float* head, int64_t t) const {
    if (a.rope.kind == RopeKind::none) return;
    const RopeTable& table = pass.ropes[index];
    const int64_t half = a.rope.dim / 2;
    pass.k.rope(head + a.rope.offset, a.rope.dim, table.cos + t * half, table.sin + t * half,
                a.rope.kind == RopeKind::half);
  }

  void rotate_and_store() {
    const bool own_keys = a.kv_from < 0 && !a.cross;
    pass.share_tokens(pass.n, [&](int64_t t) {
      float* q = row(t);
      float* k = q + at.k_begin;
      float* v = q + at.v_begin;
      norm_heads(a.q_norm, w.q_norm, q, a.n_heads, at.q_step);
      for (int64_t h = 0; h < a.n_heads; ++h) rotate(q + h * at.q_step, t);
      if (!own_keys) return;
      norm_heads(a.k_norm, w.k_norm, k, a.n_kv_heads, at.k_step);
      const Place& place = pass.places[t];
      for (int64_t h = 0; h < a.n_kv_heads; ++h) {
        if (!a.latent) rotate(k + h * at.k_step, t);  // the latent form has rotated its one already
        pass.k.store_kv(k + h * at.k_step, v + h * at.v_step, a.head_dim, a.value_dim,
                        place.first + place.position, pass.cache.f16(), pass.cache.k(index, h),
                        pass.cache.v(index, h));
      }
    });
  }

  // Work is cut into groups of up to 8 rows (query heads of one kv head, over several tokens),
  // smaller when there is little of it, so that every thread gets some.
  void score() {
    const int64_t group = a.n_heads / a.n_kv_heads, rows_of_head = pass.n * group;
    const int64_t m = std::clamp<int64_t>(
        rows_of_head * a.n_kv_heads / (4 * pass.region.n_threads()), 1, kAttentionRows);
    const int64_t tiles = (rows_of_head + m - 1) / m;
    pass.region.share(tiles * a.n_kv_heads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        score_tile(i / tiles, i % tiles * m, std::min(m, rows_of_head - i % tiles * m));
    });
  }

  void score_tile(int64_t kv_head, int64_t first, int64_t m) {
    const int64_t group = a.n_heads / a.n_kv_heads;
    const float* q[kAttentionRows];
    float* out[kAttentionRows];
    const float* bias[kAttentionRows];
    int64_t keys[kAttentionRows], first_key[kAttentionRows];
    for (int64_t r = 0; r < m; ++r) {
      const int64_t t = (first + r) / group, head = kv_head * group + (first + r) % group;
      const Place& place = pass.places[t];
      const int64_t row_of_key = place.first + place.position;
      bias[r] = position_bias == nullptr ? nullptr : bias_row(head, row_of_key);
      q[r] = row(t) + head * at.q_step;
      out[r] = attended.x + t * attended.stride + head * a.value_dim;
      if (a.cross) {
        first_key[r] = 0;
        keys[r] = pass.cache.n_source;
        continue;
      }
      keys[r] = a.causal ? row_of_key + 1 : place.end;
      first_key[r] = place.first;
      if (a.window > 0) {
        first_key[r] = std::max(place.first, row_of_key - a.window + (a.causal ? 1 : 0));
        if (!a.causal) keys[r] = std::min(place.end, row_of_key + a.window + 1);
      }
    }
    AttentionArgs args;
    args.q = q;
    args.out = out;
    args.k = pass.cache.k(index, kv_head);
    args.v = pass.cache.v(index, kv_head);
    args.kv_f16 = pass.cache.f16();
    args.head_dim = a.head_dim;
    args.value_dim = a.value_dim;
    args.m = m;
    args.n_keys = keys;
    args.first_key = first_key;
    args.n_sink = a.n_sink;
    args.bias = position_bias == nullptr ? nullptr : bias;
    args.scale = a.scale;
    args.softcap = a.softcap;
    args.scores = pass.scores;
    pass.k.attention(args);
  }

  // The heads' results in the form that the output projection reads.
  void finish_heads() const {
    const bool quantized = w.output.quantized_input();
    if (a.result_norm.kind == NormKind::none && !quantized) return;
    pass.share_tokens(pass.n, [&](int64_t t) {
      float* heads = attended.x + t * attended.stride;
      pass.norm_row(a.result_norm, w.result_norm, heads, attended.cols, heads);
      if (quantized) pass.quantize_row(attended, t);
    });
  }

  // T5's bias depends on key position - query position only: one list over all distances for each
  // head, of which a query reads the part that begins at its own.
  float* position_bias = nullptr;  // [heads, distances]
  int64_t distances = 0;           // 2 * (n_past + n) - 1; the middle one is distance 0

  const float* bias_row(int64_t head, int64_t position) const {
    return position_bias + head * distances + (distances - 1) / 2 - position;
  }

  // Exact for near distances, logarithmic for far ones (Raffel et al. 2020, T5).
  int64_t bucket(int64_t distance) const {
    int64_t n = a.n_buckets, first = 0;
    int64_t back = -distance;
    if (!a.causal) {
      n /= 2;
      if (distance > 0) first = n;
      back = std::abs(distance);
    } else {
      back = std::max<int64_t>(back, 0);
    }
    const int64_t exact = n / 2;
    if (back < exact) return first + back;
    const double far = std::log(static_cast<double>(back) / static_cast<double>(exact)) /
                       std::log(static_cast<double>(a.max_distance) / static_cast<double>(exact));
    return first +
           std::min(n - 1, exact + static_cast<int64_t>(far * static_cast<double>(n - exact)));
  }

  void make_position_bias() {
    if (w.position_bias.empty()) return;
    const int64_t all = pass.places[pass.n - 1].end;
    distances = 2 * all - 1;
    position_bias = pass.arena.floats(a.n_heads * distances);
    pass.share_tokens(a.n_heads, [&](int64_t h) {
      for (int64_t i = 0; i < distances; ++i)
        position_bias[h * distances + i] =
            w.position_bias[static_cast<size_t>(h * a.n_buckets + bucket(i - all + 1))];
    });
  }

  // q, k and v of the latent form, as if they had been projected.
  void expand_latent() {
    const LatentSpec& l = *a.latent;
    const int64_t n = pass.n, rope = a.rope.dim, nope = a.head_dim - rope;
    const int64_t q_size = a.n_heads * a.head_dim, kv_step = nope + a.value_dim;
    Activations q_in = pass.normed;
    if (l.q_a) {
      float* low = pass.arena.floats(n * l.q_rank);
      q_in = pass.arena.activations(n, l.q_rank);
      pass.project(w.q_a, pass.normed, n, low, l.q_rank);
      pass.share_tokens(n, [&](int64_t t) {
        pass.norm_row(l.q_norm, w.q_a_norm, low + t * l.q_rank, l.q_rank, q_in.x + t * q_in.stride);
        if (w.q_b.quantized_input()) pass.quantize_row(q_in, t);
      });
    }
    float* q = pass.arena.floats(n * q_size);
    pass.project(w.q_b, q_in, n, q, q_size);
    float* low = pass.arena.floats(n * (l.kv_rank + rope));
    const Activations latent = pass.arena.activations(n, l.kv_rank);
    pass.project(w.kv_a, pass.normed, n, low, l.kv_rank + rope);
    pass.share_tokens(n, [&](int64_t t) {
      pass.norm_row(l.kv_norm, w.kv_a_norm, low + t * (l.kv_rank + rope), l.kv_rank,
                    latent.x + t * latent.stride);
      if (w.kv_b.quantized_input()) pass.quantize_row(latent, t);
    });
    float* kv = pass.arena.floats(n * a.n_heads * kv_step);
    pass.project(w.kv_b, latent, n, kv, a.n_heads * kv_step);
    pass.share_tokens(n, [&](int64_t t) {
      float* shared =
          low + t * (l.kv_rank + rope);  // the rotated part that all heads share follows
      assemble(t, q + t * q_size, shared + l.kv_rank, kv + t * a.n_heads * kv_step);
    });
  }

  void assemble(int64_t t, const float* q, float* k_rope, const float* kv) {
    const int64_t rope = a.rope.dim, nope = a.head_dim - rope;
    const auto bytes = [](int64_t n) { return static_cast<size_t>(n) * 4; };
    std::memcpy(row(t), q, bytes(a.n_heads * a.head_dim));
    const RopeTable& table = pass.ropes[index];
    pass.k.rope(k_rope, rope, table.cos + t * rope / 2, table.sin + t * rope / 2,
                a.rope.kind == RopeKind::half);
    for (int64_t h = 0; h < a.n_heads; ++h) {
      float* k = row(t) + at.k_begin + h * at.k_step;
      float* v = row(t) + at.v_begin + h * at.v_step;
      const float* from = kv + h * (nope + a.value_dim);
      std::memcpy(k, from, bytes(nope));
      std::memcpy(k + nope, k_rope, bytes(rope));
      std::memcpy(v, from + nope, bytes(a.value_dim));
    }
  }
};

}  // namespace

size_t scratch_bytes(const AttentionSpec& a, int64_t hidden, int64_t n) {
  size_t bytes = Arena::float_bytes(n * row_layout(a).width) +
                 Arena::activation_bytes(n, a.n_heads * a.value_dim) +
                 Arena::float_bytes(n * hidden);
  if (a.latent) {
    const LatentSpec& l = *a.latent;
    bytes += Arena::float_bytes(n * l.q_rank) + Arena::activation_bytes(n, l.q_rank) +
             Arena::float_bytes(n * a.n_heads * a.head_dim) +
             Arena::float_bytes(n * (l.kv_rank + a.rope.dim)) +
             Arena::activation_bytes(n, l.kv_rank) +
             Arena::float_bytes(n * a.n_heads * (a.head_dim + a.value_dim));
  }
  return bytes;
}

void store_source(Pass& pass, const AttentionSpec& a, const AttentionWeights& w,
                  const Activations& source) {
  const size_t mark = pass.arena.used(), index = pass.attention;
  const int64_t k_size = a.n_kv_heads * a.head_dim;
  float* rows = pass.arena.floats(pass.n * w.kv.rows);
  pass.project(w.kv, source, pass.n, rows, w.kv.rows);
  pass.share_tokens(pass.n, [&](int64_t t) {
    const float* k = rows + t * w.kv.rows;
    for (int64_t h = 0; h < a.n_kv_heads; ++h)
      pass.k.store_kv(k + h * a.head_dim, k + k_size + h * a.value_dim, a.head_dim, a.value_dim, t,
                      pass.cache.f16(), pass.cache.k(index, h), pass.cache.v(index, h));
  });
  pass.arena.reset(mark);
}

bool quantized_input(const AttentionWeights& w) {
  return w.qkv.quantized_input() || w.kv_a.quantized_input() || w.q_a.quantized_input() ||
         w.q_b.quantized_input();
}

void run(Pass& pass, const AttentionSpec& a, const AttentionWeights& w, const Branch& branch,
         const BranchWeights& weights) {
  Attention op{pass, a, w, row_layout(a), nullptr, pass.attention++, {}};
  op.rows = pass.arena.floats(pass.n * op.at.width);
  op.attended = pass.arena.activations(pass.n, a.n_heads * a.value_dim);
  if (a.latent)
    op.expand_latent();
  else
    pass.project(w.qkv, pass.normed, pass.n, op.rows, op.at.width);
  op.rotate_and_store();
  op.make_position_bias();
  op.score();
  op.finish_heads();
  pass.finish(w.output, op.attended, branch, weights);
}

}  // namespace lm
