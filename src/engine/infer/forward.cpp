#include "engine/infer/forward.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lm {
namespace {

int64_t round_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

// Largest sizes over the blocks of a spec.
template <typename F>
int64_t largest(const ModelSpec& spec, F&& f) {
  int64_t n = 1;
  for (const auto& layer : spec.layers)
    for (const Block& block : layer) n = std::max(n, f(block));
  return n;
}

int64_t heads_size(const Block& b) {
  const auto* a = std::get_if<AttentionSpec>(&b.op);
  return a ? a->n_heads * a->head_dim : 0;
}
int64_t qkv_size(const Block& b) {
  const auto* a = std::get_if<AttentionSpec>(&b.op);
  return a ? (a->n_heads + 2 * a->n_kv_heads) * a->head_dim : 0;
}
int64_t ffn_size(const Block& b) {
  const auto* m = std::get_if<MlpSpec>(&b.op);
  return m ? m->size : 0;
}
int64_t rope_dim(const Block& b) {
  const auto* a = std::get_if<AttentionSpec>(&b.op);
  return a ? a->rope.dim : 0;
}

}  // namespace

Forward::Buffer::Buffer(int64_t tokens, int64_t cols) {
  view.cols = cols;
  view.stride = round_up(cols, 64);
  const int64_t blocks = cols / kQuantBlock;
  const int64_t floats = tokens * view.stride, scales = round_up(tokens * blocks, 16);
  memory = AlignedBuffer(static_cast<size_t>(floats * 4 + floats * 2 + scales * 12));
  view.x = memory.as<float>();
  view.q = reinterpret_cast<int8_t*>(view.x + floats);
  view.q_low = view.q + floats;
  view.d = reinterpret_cast<float*>(view.q_low + floats);
  view.dsum = view.d + scales;
  view.sum = reinterpret_cast<int32_t*>(view.dsum + scales);
}

Forward::Forward(const ModelSpec& spec, const ModelWeights& weights, int64_t context)
    : spec_(spec),
      weights_(weights),
      qkv_size_(round_up(largest(spec, qkv_size), 16)),
      ffn_size_(largest(spec, ffn_size)),
      heads_size_(largest(spec, heads_size)),
      normed_(kMicroBatch, spec.hidden_size),
      attended_(kMicroBatch, heads_size_),
      ffn_(kMicroBatch, ffn_size_) {
  const auto floats = [](int64_t n) { return AlignedBuffer(static_cast<size_t>(n) * 4); };
  x_ = floats(kMicroBatch * spec.hidden_size);
  qkv_ = floats(kMicroBatch * qkv_size_);
  hidden_ = floats(kMicroBatch * 2 * round_up(ffn_size_, 16));
  rope_dim_ = largest(spec, rope_dim);
  for (const auto& layer : spec.layers)
    for (const Block& block : layer)
      if (const auto* a = std::get_if<AttentionSpec>(&block.op);
          a && a->rope.kind != RopeKind::none)
        if (std::find(rope_tables_.begin(), rope_tables_.end(), a->rope.frequencies) ==
            rope_tables_.end())
          rope_tables_.push_back(a->rope.frequencies);
  rope_ = floats(static_cast<int64_t>(rope_tables_.size()) * kMicroBatch * rope_dim_);
  scores_stride_ = kAttentionRows * round_up(context, 16);
  scores_ = floats(scores_stride_ * ThreadPool::instance().n_threads());
}

// One evaluation, run by all threads of a region.
struct Forward::Pass {
  Forward& f;
  Region& region;
  const Kernels& k;
  std::span<const int32_t> tokens;
  int64_t n_past, n;  // n: tokens in this batch
  KvCache& cache;
  int64_t n_logits;
  float* logits;

  float* x(int64_t t) const { return f.x_.as<float>() + t * f.spec_.hidden_size; }

  void run() {
    share_tokens(n, [&](int64_t t) { embed(t, x(t)); });
    size_t attention = 0;
    for (size_t i = 0; i < f.spec_.layers.size(); ++i)
      for (size_t j = 0; j < f.spec_.layers[i].size(); ++j) {
        const Block& block = f.spec_.layers[i][j];
        const BlockWeights& w = f.weights_.layers[i][j];
        normalise(block.norm, w.norm, w.in, 0, n);
        if (const auto* a = std::get_if<AttentionSpec>(&block.op))
          attend(*a, w, attention++);
        else
          feed_forward(std::get<MlpSpec>(block.op), w);
      }
    if (n_logits == 0) return;
    normalise(f.spec_.final_norm, f.weights_.final_norm, f.weights_.output, n - n_logits, n_logits);
    matmul(f.weights_.output, f.normed_.view, n_logits, logits, f.spec_.vocab_size,
           Epilogue::store);
    if (f.spec_.logit_softcap > 0)
      share_tokens(n_logits, [&](int64_t t) {
        float* row = logits + t * f.spec_.vocab_size;
        for (int64_t v = 0; v < f.spec_.vocab_size; ++v)
          row[v] = f.spec_.logit_softcap * std::tanh(row[v] / f.spec_.logit_softcap);
      });
  }

  template <typename F>
  void share_tokens(int64_t count, F&& each) {
    const int64_t chunk = std::max<int64_t>(1, count / (4 * region.n_threads()));
    region.share(count, chunk, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) each(t);
    });
  }

  void embed(int64_t t, float* out) const {
    const int64_t hidden = f.spec_.hidden_size;
    embedding_row(f.weights_, tokens[static_cast<size_t>(t)], out);
    if (f.spec_.embedding_scale != 1.0f)
      for (int64_t i = 0; i < hidden; ++i) out[i] *= f.spec_.embedding_scale;
    if (!f.weights_.positions.empty())
      for (int64_t i = 0; i < hidden; ++i)
        out[i] += f.weights_.positions[static_cast<size_t>((n_past + t) * hidden + i)];
    const int64_t half = f.rope_dim_ / 2;
    for (size_t table = 0; table < f.rope_tables_.size(); ++table) {
      float* cs =
          f.rope_.as<float>() + (static_cast<int64_t>(table) * kMicroBatch + t) * f.rope_dim_;
      for (size_t i = 0; i < f.rope_tables_[table].size(); ++i) {
        const double angle = static_cast<double>(n_past + t) * f.rope_tables_[table][i];
        cs[i] = static_cast<float>(std::cos(angle));
        cs[static_cast<size_t>(half) + i] = static_cast<float>(std::sin(angle));
      }
    }
  }

  void apply_norm(const NormSpec& spec, const NormWeights& w, const float* in, int64_t size,
                  float* out) const {
    if (spec.kind == NormKind::rms)
      k.rms_norm(in, w.weight.data(), size, spec.eps, out);
    else if (spec.kind == NormKind::layer)
      k.layer_norm(in, w.weight.data(), w.bias.empty() ? nullptr : w.bias.data(), size, spec.eps,
                   out);
    else if (in != out)
      std::memcpy(out, in, static_cast<size_t>(size) * 4);
  }

  void quantize(const Activations& a, int64_t t) const {
    const int64_t blocks = a.cols / kQuantBlock;
    k.quantize_row(a.x + t * a.stride, a.cols, a.q + t * a.stride, a.q_low + t * a.stride,
                   a.d + t * blocks, a.dsum + t * blocks, a.sum + t * blocks);
  }

  // normed = norm(x) for tokens first .. first + count - 1, quantized when `next` wants it.
  void normalise(const NormSpec& spec, const NormWeights& w, const LinearWeights& next,
                 int64_t first, int64_t count) {
    const Activations& out = f.normed_.view;
    const bool quantized = next.quantized_input();
    share_tokens(count, [&](int64_t t) {
      apply_norm(spec, w, x(first + t), f.spec_.hidden_size, out.x + t * out.stride);
      if (quantized) quantize(out, t);
    });
  }

  void matmul(const LinearWeights& w, const Activations& in, int64_t count, float* out, int64_t ldo,
              Epilogue epilogue) {
    int64_t row = 0;
    const bool glu = epilogue == Epilogue::swiglu || epilogue == Epilogue::geglu;
    for (const auto& part : w.parts) {
      const int64_t panels = part->n_panels();
      // A few tokens wait for the weights: one long stretch for each thread keeps the hardware
      // prefetcher streaming (measured: 380 instead of 275 tokens/s in decode against 16 pieces).
      // Many tokens wait for the arithmetic: smaller pieces even out.
      const int64_t pieces = count <= 8 ? region.n_threads() : 8 * region.n_threads();
      const int64_t chunk = round_up((panels + pieces - 1) / pieces, 2);
      region.share(glu ? round_up(panels, 2) : panels, chunk, [&](int64_t begin, int64_t end) {
        const float* bias = w.bias.empty() ? nullptr : w.bias.data() + row;
        k.matmul({part.get(), &in, begin, end, count, out + row, ldo, bias, epilogue});
      });
      row += part->rows;
    }
  }

  void attend(const AttentionSpec& a, const BlockWeights& w, size_t index) {
    float* qkv = f.qkv_.as<float>();
    matmul(w.in, f.normed_.view, n, qkv, f.qkv_size_, Epilogue::store);
    rotate_and_store(a, w, index, qkv);
    const bool quantized = w.out.quantized_input();
    score(a, index, qkv);
    if (quantized) share_tokens(n, [&](int64_t t) { quantize(f.attended_.view, t); });
    matmul(w.out, f.attended_.view, n, x(0), f.spec_.hidden_size, Epilogue::add);
  }

  void rotate_and_store(const AttentionSpec& a, const BlockWeights& w, size_t index, float* qkv) {
    const int64_t q_size = a.n_heads * a.head_dim, kv_size = a.n_kv_heads * a.head_dim;
    const auto table = std::find(f.rope_tables_.begin(), f.rope_tables_.end(), a.rope.frequencies) -
                       f.rope_tables_.begin();
    share_tokens(n, [&](int64_t t) {
      float* row = qkv + t * f.qkv_size_;
      const float* cs = f.rope_.as<float>() + (table * kMicroBatch + t) * f.rope_dim_;
      for (int64_t h = 0; h < a.n_heads + a.n_kv_heads; ++h) {
        float* head = row + h * a.head_dim;
        const bool is_q = h < a.n_heads;
        apply_norm(is_q ? a.q_norm : a.k_norm, is_q ? w.q_norm : w.k_norm, head, a.head_dim, head);
        if (a.rope.kind != RopeKind::none)
          k.rope(head, a.rope.dim, cs, cs + f.rope_dim_ / 2, a.rope.kind == RopeKind::half);
      }
      for (int64_t h = 0; h < a.n_kv_heads; ++h)
        k.store_kv(row + q_size + h * a.head_dim, row + q_size + kv_size + h * a.head_dim,
                   a.head_dim, n_past + t, cache.f16(), cache.k(index, h), cache.v(index, h));
    });
  }

  // Work is cut into groups of up to 8 rows (query heads of one kv head, over several tokens),
  // smaller when there is little of it, so that every thread gets some.
  void score(const AttentionSpec& a, size_t index, float* qkv) {
    const int64_t group = a.n_heads / a.n_kv_heads, rows = n * group;
    const int64_t m =
        std::clamp<int64_t>(rows * a.n_kv_heads / (4 * region.n_threads()), 1, kAttentionRows);
    const int64_t tiles = (rows + m - 1) / m;
    region.share(tiles * a.n_kv_heads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        score_tile(a, index, qkv, i / tiles, i % tiles * m, std::min(m, rows - i % tiles * m));
    });
  }

  void score_tile(const AttentionSpec& a, size_t index, float* qkv, int64_t kv_head, int64_t first,
                  int64_t m) {
    const int64_t group = a.n_heads / a.n_kv_heads;
    const float* q[kAttentionRows];
    float* out[kAttentionRows];
    int64_t keys[kAttentionRows], first_key[kAttentionRows];
    for (int64_t r = 0; r < m; ++r) {
      const int64_t t = (first + r) / group, head = kv_head * group + (first + r) % group;
      q[r] = qkv + t * f.qkv_size_ + head * a.head_dim;
      out[r] = f.attended_.view.x + t * f.attended_.view.stride + head * a.head_dim;
      keys[r] = n_past + t + 1;
      first_key[r] = a.window > 0 ? std::max<int64_t>(0, keys[r] - a.window) : 0;
    }
    AttentionArgs args;
    args.q = q;
    args.out = out;
    args.k = cache.k(index, kv_head);
    args.v = cache.v(index, kv_head);
    args.kv_f16 = cache.f16();
    args.head_dim = a.head_dim;
    args.m = m;
    args.n_keys = keys;
    args.first_key = first_key;
    args.scale = a.scale;
    args.softcap = a.softcap;
    args.scores = f.scores_.as<float>() + region.thread() * f.scores_stride_;
    k.attention(args);
  }

  void feed_forward(const MlpSpec& m, const BlockWeights& w) {
    const Activations& ffn = f.ffn_.view;
    const bool quantized = w.out.quantized_input();
    if (w.glu_fused) {
      matmul(w.in, f.normed_.view, n, ffn.x, ffn.stride,
             m.activation == Activation::silu ? Epilogue::swiglu : Epilogue::geglu);
      if (quantized) share_tokens(n, [&](int64_t t) { quantize(ffn, t); });
    } else {
      float* hidden = f.hidden_.as<float>();
      const int64_t width = w.in.rows;
      matmul(w.in, f.normed_.view, n, hidden, width, Epilogue::store);
      share_tokens(n, [&](int64_t t) {
        activate(m, hidden + t * width, ffn.x + t * ffn.stride);
        if (quantized) quantize(ffn, t);
      });
    }
    matmul(w.out, ffn, n, x(0), f.spec_.hidden_size, Epilogue::add);
  }

  // in: [gate, up] or [up]
  void activate(const MlpSpec& m, float* in, float* out) const {
    if (m.activation == Activation::silu)
      for (int64_t i = 0; i < m.size; ++i) in[i] = in[i] / (1.0f + std::exp(-in[i]));
    else
      k.gelu(in, m.size, m.activation == Activation::gelu_tanh);
    for (int64_t i = 0; i < m.size; ++i) out[i] = m.gated ? in[i] * in[m.size + i] : in[i];
  }
};

void Forward::eval(std::span<const int32_t> tokens, int64_t n_past, KvCache& cache,
                   int64_t n_logits, float* logits) {
  ThreadPool::instance().run([&](Region& region) {
    Pass pass{*this, region,   kernels(), tokens, n_past, static_cast<int64_t>(tokens.size()),
              cache, n_logits, logits};
    pass.run();
  });
}

}  // namespace lm
