// Attention over the cache: projections, norms and rotary positions of the new tokens, storing keys
// and values, scores of every head, output projection.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/infer/pass.h"
#include "engine/infer/profile.h"

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

// Where a thread finds less than this many tiles to work on, keys are shared out too.
constexpr int64_t kTilesPerThread = 4;

// Keys and values of all kv heads of one position.
void store_keys(const Pass& pass, const AttentionSpec& a, size_t attention, const PageList& pages,
                int64_t position, const float* k, int64_t k_step, const float* v, int64_t v_step) {
  std::byte* page = pages.at(position / kPageTokens);
  for (int64_t h = 0; h < a.n_kv_heads; ++h)
    pass.k.store_kv({k + h * k_step, v + h * v_step, a.head_dim, a.value_dim, pass.cache.type(),
                     position % kPageTokens, page + pass.cache.k_offset(attention, h),
                     page + pass.cache.v_offset(attention, h)});
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
    pass.share_rows([&](const PassSegment& segment, int64_t t) {
      float* q = row(t);
      float* k = q + at.k_begin;
      const float* v = q + at.v_begin;
      norm_heads(a.q_norm, w.q_norm, q, a.n_heads, at.q_step);
      for (int64_t h = 0; h < a.n_heads; ++h) rotate(q + h * at.q_step, t);
      if (!own_keys) return;
      norm_heads(a.k_norm, w.k_norm, k, a.n_kv_heads, at.k_step);
      if (!a.latent)  // the latent form has rotated its one already
        for (int64_t h = 0; h < a.n_kv_heads; ++h) rotate(k + h * at.k_step, t);
      store_keys(pass, a, index, segment.state->pages, Pass::position(segment, t), k, at.k_step, v,
                 at.v_step);
    });
  }

  // Work is cut into tiles of up to 8 rows (query heads of one kv head, over several tokens of a
  // sequence). Where there are few tiles, the chunks of a tile's keys are shared out as well.
  void score() {
    const Tiles all = tiles();
    if (!all.split) {
      pass.region.share(all.n, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) score_tile(tile(all, i));
      });
      return;
    }
    const size_t mark = pass.arena.used();
    const int64_t size = result_floats(a);
    float* results = pass.arena.floats(all.n * size);
    pass.region.share(all.n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Tile one = tile(all, i);
        if (one.visible(one.chunk)) score_chunk(one, one.chunk, results + i * size);
      }
    });
    pass.region.share(all.n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        if (const Tile one = tile(all, i); one.chunk == 0) merge_chunks(one, results + i * size);
    });
    pass.arena.reset(mark);
  }

  struct Tiles {
    int64_t rows;  // at most, of one tile
    bool split;    // an item is a chunk of a tile, not a whole tile
    int64_t n;     // items
  };
  // Query rows of one kv head that look at keys of one sequence.
  struct Tile {
    const PassSegment* segment;
    int64_t kv_head, m, chunk, n_chunks;
    const float* q[kAttentionRows];
    float* out[kAttentionRows];
    const float* bias[kAttentionRows];
    int64_t n_keys[kAttentionRows], first_key[kAttentionRows];
    int64_t n_sink;

    bool visible(int64_t c) const {
      const int64_t begin = c * kAttentionChunk, end = begin + kAttentionChunk;
      for (int64_t r = 0; r < m; ++r)
        if ((n_keys[r] > begin && first_key[r] < end) || n_sink > begin) return true;
      return false;
    }
  };

  int64_t group() const { return a.n_heads / a.n_kv_heads; }
  int64_t keys_of(const PassSegment& segment) const {
    return a.cross ? segment.state->n_source : segment.length();
  }
  int64_t tiles_of(const PassSegment& segment, int64_t of_rows) const {
    return (segment.size() * group() + of_rows - 1) / of_rows * a.n_kv_heads;
  }
  int64_t items_of(const PassSegment& segment, const Tiles& all) const {
    return tiles_of(segment, all.rows) * (all.split ? chunks(keys_of(segment)) : 1);
  }

  Tiles tiles() const {
    const auto count = [&](Tiles all) {
      all.n = 0;
      for (const PassSegment& segment : pass.segments) all.n += items_of(segment, all);
      return all;
    };
    const int64_t enough = kTilesPerThread * pass.region.n_threads();
    if (const Tiles whole = count({kAttentionRows, false, 0}); whole.n >= enough) return whole;
    Tiles split{};
    for (int64_t m = kAttentionRows; m >= 1; m /= 2) {
      split = count({m, true, 0});
      if (split.n >= enough) break;
    }
    return split;
  }

  Tile tile(const Tiles& all, int64_t i) const {
    const PassSegment* segment = pass.segments.data();
    for (; i >= items_of(*segment, all); ++segment) i -= items_of(*segment, all);
    Tile one{};
    one.segment = segment;
    one.n_chunks = chunks(keys_of(*segment));
    if (all.split) {
      one.chunk = i % one.n_chunks;
      i /= one.n_chunks;
    }
    const int64_t per_head = tiles_of(*segment, all.rows) / a.n_kv_heads;
    one.kv_head = i / per_head;
    const int64_t first = i % per_head * all.rows;
    one.m = std::min(all.rows, segment->size() * group() - first);
    one.n_sink = a.cross ? 0 : a.n_sink;
    for (int64_t r = 0; r < one.m; ++r) set_row(one, r, first + r);
    return one;
  }

  void set_row(Tile& one, int64_t r, int64_t row_of_head) const {
    const PassSegment& segment = *one.segment;
    const int64_t t = segment.begin + row_of_head / group(), own = Pass::position(segment, t);
    const int64_t head = one.kv_head * group() + row_of_head % group();
    one.q[r] = row(t) + head * at.q_step;
    one.out[r] = attended.x + t * attended.stride + head * a.value_dim;
    one.bias[r] = position_bias == nullptr ? nullptr : bias_row(head, own);
    one.first_key[r] = 0;
    one.n_keys[r] = a.causal && !a.cross ? own + 1 : keys_of(segment);
    if (a.window == 0 || a.cross) return;
    one.first_key[r] = std::max<int64_t>(0, own - a.window + (a.causal ? 1 : 0));
    if (!a.causal) one.n_keys[r] = std::min(one.n_keys[r], own + a.window + 1);
  }

  // Results of up to 8 rows in one piece of memory: DV sums each, then largest scores, then sums of
  // weights.
  static int64_t result_floats(const AttentionSpec& a) {
    return kAttentionRows * (a.value_dim + 2);
  }
  static int64_t chunks(int64_t keys) { return (keys + kAttentionChunk - 1) / kAttentionChunk; }

  void score_chunk(const Tile& one, int64_t chunk, float* result) const {
    float* out[kAttentionRows];
    for (int64_t r = 0; r < one.m; ++r) out[r] = result + r * a.value_dim;
    const PageList& pages = a.cross ? one.segment->state->source_pages : one.segment->state->pages;
    AttentionArgs args;
    args.q = one.q;
    args.pages = pages.data();
    args.k_offset = pass.cache.k_offset(index, one.kv_head);
    args.v_offset = pass.cache.v_offset(index, one.kv_head);
    args.kv_type = pass.cache.type();
    args.head_dim = a.head_dim;
    args.value_dim = a.value_dim;
    args.m = one.m;
    args.chunk = chunk;
    args.n_keys = one.n_keys;
    args.first_key = one.first_key;
    args.n_sink = one.n_sink;
    args.bias = position_bias == nullptr ? nullptr : one.bias;
    args.scale = a.scale;
    args.softcap = a.softcap;
    args.scores = pass.scratch;
    args.out = out;
    args.largest = result + kAttentionRows * a.value_dim;
    args.sum = args.largest + kAttentionRows;
    pass.k.attention(args);
  }

  // What the chunks so far give together.
  struct Total {
    float largest[kAttentionRows], sum[kAttentionRows];
    Total() {
      std::fill_n(largest, kAttentionRows, -INFINITY);
      std::fill_n(sum, kAttentionRows, 0.0f);
    }
  };

  // Adds a chunk's result to the rows' sums in `out` (online softmax: Milakov & Gimelshein 2018).
  void merge(const Tile& one, const float* result, Total& total) const {
    const float* largest = result + kAttentionRows * a.value_dim;
    const float* sum = largest + kAttentionRows;
    for (int64_t r = 0; r < one.m; ++r) {
      const float top = std::max(total.largest[r], largest[r]);
      const float old = std::exp(total.largest[r] - top), now = std::exp(largest[r] - top);
      const bool first = total.largest[r] == -INFINITY;
      total.largest[r] = top;
      total.sum[r] = total.sum[r] * old + sum[r] * now;
      const float* from = result + r * a.value_dim;
      float* to = one.out[r];
      for (int64_t d = 0; d < a.value_dim; ++d)
        to[d] = first ? from[d] * now : to[d] * old + from[d] * now;
    }
  }

  void divide(const Tile& one, const Total& total) const {
    for (int64_t r = 0; r < one.m; ++r) {
      const float inverse = 1.0f / total.sum[r];
      for (int64_t d = 0; d < a.value_dim; ++d) one.out[r][d] *= inverse;
    }
  }

  void score_tile(const Tile& one) const {
    float* result = pass.scratch + kAttentionRows * kAttentionChunk;
    Total total;
    for (int64_t c = 0; c < one.n_chunks; ++c)
      if (one.visible(c)) {
        score_chunk(one, c, result);
        merge(one, result, total);
      }
    divide(one, total);
  }

  void merge_chunks(const Tile& one, const float* results) const {
    Total total;
    for (int64_t c = 0; c < one.n_chunks; ++c)
      if (one.visible(c)) merge(one, results + c * result_floats(a), total);
    divide(one, total);
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
  int64_t distances = 0;           // 2 * longest sequence - 1; the middle one is distance 0

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
    int64_t all = 0;
    for (const PassSegment& segment : pass.segments) all = std::max(all, segment.length());
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

size_t attention_chunk_bytes(const AttentionSpec& a, int64_t context) {
  const int64_t tiles = kTilesPerThread * ThreadPool::instance().n_threads();
  return Arena::float_bytes(tiles * Attention::chunks(context) * Attention::result_floats(a));
}

int64_t attention_scratch_floats(const AttentionSpec& a) {
  return kAttentionRows * kAttentionChunk + Attention::result_floats(a);
}

void store_source(Pass& pass, const AttentionSpec& a, const AttentionWeights& w,
                  const Activations& source) {
  const size_t mark = pass.arena.used(), index = pass.attention;
  float* rows = pass.arena.floats(pass.n * w.kv.rows);
  pass.project(w.kv, source, pass.n, rows, w.kv.rows);
  pass.share_tokens(pass.n, [&](int64_t t) {
    const float* k = rows + t * w.kv.rows;
    store_keys(pass, a, index, pass.segments[0].state->source_pages, t, k, a.head_dim,
               k + a.n_kv_heads * a.head_dim, a.value_dim);
  });
  pass.arena.reset(mark);
}

void store_prefix(Pass& pass, const AttentionSpec& a, const VirtualTokens& prefix) {
  const size_t index = pass.attention++;
  const int64_t width = a.n_kv_heads * a.head_dim;
  pass.share_tokens(prefix.n, [&](int64_t t) {
    const float* k =
        prefix.values.data() + t * prefix.width + 2 * static_cast<int64_t>(index) * width;
    store_keys(pass, a, index, pass.segments[0].state->pages, t, k, a.head_dim, k + width,
               a.head_dim);
  });
}

bool quantized_input(const AttentionWeights& w) {
  return w.qkv.quantized_input() || w.kv_a.quantized_input() || w.q_a.quantized_input() ||
         w.q_b.quantized_input();
}

void run(Pass& pass, const AttentionSpec& a, const AttentionWeights& w, const Branch& branch,
         const BranchWeights& weights) {
  Attention op{pass, a, w, row_layout(a), nullptr, pass.attention++, {}};
  op.rows = pass.arena.floats(pass.n * op.at.width);
  op.attended = pass.coarse(pass.arena.activations(pass.n, a.n_heads * a.value_dim));
  if (a.latent)
    op.expand_latent();
  else
    pass.project(w.qkv, pass.normed, pass.n, op.rows, op.at.width);
  {
    const ProfileScope scope(pass.region, "rotate and store");
    op.rotate_and_store();
  }
  {
    const ProfileScope scope(pass.region, "attention");
    op.make_position_bias();
    op.score();
  }
  op.finish_heads();
  pass.finish(w.output, op.attended, branch, weights);
}

}  // namespace lm
