#include "engine/infer/forward.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lm {
namespace {

bool same_turns(const RopeSpec& a, const RopeSpec& b) {
  return a.frequencies == b.frequencies && a.magnitude == b.magnitude && a.limit == b.limit &&
         a.long_frequencies == b.long_frequencies && a.ntk_base == b.ntk_base &&
         a.ntk_factor == b.ntk_factor;
}

// Scratch memory for the projection of an encoder's text of `n` tokens.
size_t source_bytes(const ModelSpec& spec, int64_t n) {
  int64_t kv = 0;
  for_each_branch(spec, [&](const Branch& b) {
    if (const auto* a = std::get_if<AttentionSpec>(&b.op); a != nullptr && a->cross)
      kv = std::max(kv, a->n_kv_heads * (a->head_dim + a->value_dim));
  });
  return Arena::activation_bytes(n, spec.hidden_size) + Arena::float_bytes(n * kv) + 4096 +
         Arena::activation_bytes(n, kMostRank);
}

// An op and its weights are the alternatives of the same place in their variants.
template <size_t... I>
void run_branch(Pass& pass, const float* in, const Branch& branch, const BranchWeights& w,
                std::index_sequence<I...>) {
  const auto run_one = [&](const auto& op, const auto& weights) {
    pass.normalize(branch.norm, w.norm, in, pass.n, quantized_input(weights));
    run(pass, op, weights, branch, w);
  };
  (void)((branch.op.index() == I && (run_one(std::get<I>(branch.op), std::get<I>(w.op)), true)) ||
         ...);
}

// Rows in the form that matrices read.
Activations copied(Pass& pass, std::span<const float> rows, int64_t cols, bool quantized) {
  const int64_t n = static_cast<int64_t>(rows.size()) / cols;
  const Activations out = pass.arena.activations(n, cols);
  pass.share_tokens(n, [&](int64_t t) {
    std::memcpy(out.x + t * out.stride, rows.data() + t * cols, static_cast<size_t>(cols) * 4);
    if (quantized) pass.quantize_row(out, t);
  });
  return out;
}

AlignedBuffer float_buffer(int64_t n) {
  return AlignedBuffer(static_cast<size_t>(n) * 4);
}

}  // namespace

Forward::Forward(const ModelSpec& spec, const ModelWeights& weights, int64_t context,
                 int64_t capacity)
    : spec_(spec), weights_(weights), capacity_(capacity) {
  context += spec.n_meta;
  size_t arena = 0;
  for_each_branch(spec, [&](const Branch& branch) {
    const size_t bytes = std::visit(
        [&](const auto& op) { return scratch_bytes(op, spec.hidden_size, capacity); }, branch.op);
    arena = std::max(arena, bytes);
    if (const auto* a = std::get_if<AttentionSpec>(&branch.op)) {
      add_rope(a->rope);
      if (!a->position_bias.empty())  // one list of all distances for each head
        arena = std::max(arena, bytes + Arena::float_bytes(2 * a->n_heads * context));
    }
  });
  // The last part is for adapters; untouched memory costs nothing.
  arena_ = AlignedBuffer(arena + Arena::activation_bytes(capacity, spec.hidden_size) + 4096 +
                         Arena::activation_bytes(capacity, kMostRank));
  x_ = float_buffer(capacity * spec.hidden_size);
  x_before_ = float_buffer(capacity * spec.hidden_size);
  first_values_ = float_buffer(capacity * spec.hidden_size);
  int64_t half_dims = 0;
  for (const Rope& rope : ropes_) half_dims += static_cast<int64_t>(rope.frequencies.size());
  rope_ = float_buffer(2 * capacity * half_dims + 16);
  float* at = rope_.as<float>();
  for (Rope& rope : ropes_) {
    const int64_t n = capacity * static_cast<int64_t>(rope.frequencies.size());
    rope.cos = std::exchange(at, at + n);
    rope.sin = std::exchange(at, at + n);
  }
  for (const size_t i : rope_of_attention_) rope_tables_.push_back({ropes_[i].cos, ropes_[i].sin});
  if (spec.encoder) context = std::max(context, spec.encoder->context_length);
  scores_stride_ = kAttentionRows * round_up(context, 16);
  scores_ = float_buffer(scores_stride_ * ThreadPool::instance().n_threads());
}

void Forward::add_rope(const RopeSpec& rope) {
  size_t i = 0;
  while (i < ropes_.size() && !same_turns(*ropes_[i].spec, rope)) ++i;
  if (i == ropes_.size()) ropes_.push_back({&rope, rope.frequencies, nullptr, nullptr});
  rope_of_attention_.push_back(i);
}

void Forward::set_lengths(int64_t length) {
  for (Rope& rope : ropes_)
    if (rope.spec->limit > 0) rope.frequencies = rope_at(*rope.spec, length);
}

void Forward::fill_ropes(int64_t t, int64_t position) {
  for (const Rope& rope : ropes_) {
    const size_t half = rope.frequencies.size(), at = static_cast<size_t>(t) * half;
    for (size_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(position) * rope.frequencies[i];
      rope.cos[at + i] = static_cast<float>(std::cos(angle)) * rope.spec->magnitude;
      rope.sin[at + i] = static_cast<float>(std::sin(angle)) * rope.spec->magnitude;
    }
  }
}

void Forward::embed(const EvalRequest& request, int64_t t, float* out) const {
  const int64_t hidden = spec_.hidden_size;
  const auto add_row = [&](const std::vector<float>& table, int64_t row) {
    if (table.empty()) return;
    for (int64_t i = 0; i < hidden; ++i) out[i] += table[static_cast<size_t>(row * hidden + i)];
  };
  const auto index = static_cast<size_t>(t);
  const float* given = request.embeddings.empty() ? nullptr : request.embeddings[index];
  if (given != nullptr) {
    std::memcpy(out, given, static_cast<size_t>(hidden) * 4);
  } else {
    embedding_row(weights_, request.tokens[index], out);
    if (spec_.embedding_scale != 1.0f)
      for (int64_t i = 0; i < hidden; ++i) out[i] *= spec_.embedding_scale;
  }
  add_row(weights_.positions, places_[index].position + spec_.position_offset);
  add_row(weights_.token_types, request.token_types.empty() ? 0 : request.token_types[index]);
}

void Forward::run_block(const Block& block, const BlockWeights& weights, Pass& pass) {
  const float* in = pass.x;
  if (block.branches.size() > 1) {  // every branch reads what the block began with
    float* before = x_before_.as<float>();
    const int64_t hidden = spec_.hidden_size;
    pass.share_tokens(pass.n, [&](int64_t t) {
      std::memcpy(before + t * hidden, pass.x + t * hidden, static_cast<size_t>(hidden) * 4);
    });
    in = before;
  }
  for (size_t i = 0; i < block.branches.size(); ++i) {
    const Branch& branch = block.branches[i];
    const BranchWeights& w = weights.branches[i];
    const size_t mark = pass.arena.used();
    run_branch(pass, in, branch, w, std::make_index_sequence<std::variant_size_v<Op>>());
    pass.arena.reset(mark);
  }
  if (block.out_norm.kind != NormKind::none)
    pass.share_tokens(pass.n, [&](int64_t t) {
      float* row = pass.x + t * spec_.hidden_size;
      pass.norm_row(block.out_norm, weights.out_norm, row, spec_.hidden_size, row);
    });
}

void Forward::run(const EvalRequest& request, Pass& pass) {
  const int64_t hidden = spec_.hidden_size, vocab = spec_.vocab_size;
  pass.share_tokens(pass.n, [&](int64_t t) {
    float* row = pass.x + t * hidden;
    embed(request, t, row);
    pass.norm_row(spec_.embedding_norm, weights_.embedding_norm, row, hidden, row);
    fill_ropes(t, places_[static_cast<size_t>(t)].position);
  });
  for (size_t i = 0; i < spec_.layers.size(); ++i)
    for (size_t j = 0; j < spec_.layers[i].size(); ++j)
      run_block(spec_.layers[i][j], weights_.layers[i][j], pass);

  if (request.hidden != nullptr)
    pass.share_tokens(pass.n, [&](int64_t t) {
      pass.norm_row(spec_.final_norm, weights_.final_norm, pass.x + t * hidden, hidden,
                    request.hidden + t * hidden);
    });
  const int64_t n = request.n_logits;
  if (n == 0) return;
  pass.normalize(spec_.final_norm, weights_.final_norm, pass.x + (pass.n - n) * hidden, n,
                 weights_.output.quantized_input());
  pass.project(weights_.output, pass.normed, n, request.logits, vocab);
  if (spec_.logit_scale == 1.0f && spec_.logit_softcap == 0.0f) return;
  pass.share_tokens(n, [&](int64_t t) {
    float* row = request.logits + t * vocab;
    for (int64_t v = 0; v < vocab; ++v) {
      row[v] *= spec_.logit_scale;
      if (spec_.logit_softcap > 0)
        row[v] = spec_.logit_softcap * std::tanh(row[v] / spec_.logit_softcap);
    }
  });
}

void Forward::set_places(const EvalRequest& request, int64_t n_past) {
  const auto n = static_cast<int64_t>(request.tokens.size());
  places_.clear();
  if (request.texts.empty() || n_past > 0) {
    for (int64_t t = 0; t < n; ++t) places_.push_back({n_past + t, 0, n_past + n});
    return;
  }
  int64_t first = 0;
  for (const int64_t size : request.texts) {
    for (int64_t t = 0; t < size; ++t) places_.push_back({t, first, first + size});
    first += round_up(size, kTextAlign);
  }
}

Pass Forward::make_pass(Region& region, SequenceState& state, const AdapterSet* adapters,
                        int64_t n_past, int64_t n) {
  return {.region = region,
          .k = kernels(),
          .spec = spec_,
          .cache = state.kv,
          .states = state.recurrent,
          .adapters = adapters,
          .arena = Arena(arena_.data(), arena_.size()),
          .n_past = n_past,
          .n = n,
          .x = x_.as<float>(),
          .normed = {},
          .scores = scores_.as<float>() + region.thread() * scores_stride_,
          .ropes = rope_tables_.data(),
          .places = places_.data(),
          .attention = 0,
          .recurrent = 0,
          .first_values = first_values_.as<float>()};
}

void Forward::begin(const AdapterSet* adapters, SequenceState& state) {
  if (state.start) {
    state.recurrent = *state.start;
    return;
  }
  state.recurrent.reset();
  if (spec_.n_meta == 0) return;
  const std::vector<int32_t> ids(static_cast<size_t>(spec_.n_meta));  // their rows are given
  std::vector<const float*> rows;
  for (int64_t i = 0; i < spec_.n_meta; ++i)
    rows.push_back(weights_.meta_tokens.data() + i * spec_.hidden_size);
  for (int64_t done = 0; done < spec_.n_meta;) {
    const int64_t n = std::min(capacity_, spec_.n_meta - done);
    EvalRequest request;
    request.tokens = std::span(ids).first(static_cast<size_t>(n));
    request.embeddings = std::span(rows).subspan(static_cast<size_t>(done), static_cast<size_t>(n));
    request.adapters = adapters;
    eval_at(request, done, state);
    done += n;
  }
  state.start = state.recurrent;
}

void Forward::eval(const EvalRequest& request, SequenceState& state) {
  eval_at(request, spec_.n_meta + request.n_past, state);
}

void Forward::eval_at(const EvalRequest& request, int64_t n_past, SequenceState& state) {
  const auto n = static_cast<int64_t>(request.tokens.size());
  set_places(request, n_past);
  set_lengths(std::max(spec_.n_meta + request.length, n_past + n));
  ThreadPool::instance().run([&](Region& region) {
    Pass pass = make_pass(region, state, request.adapters, n_past, n);
    pass.normed = pass.arena.activations(capacity_, spec_.hidden_size);
    run(request, pass);
  });
}

void Forward::multiply(const LinearWeights& w, std::span<const float> in,
                       const AdapterSet* adapters, SequenceState& state, float* out) {
  const int64_t n = static_cast<int64_t>(in.size()) / w.cols;
  AlignedBuffer memory(Arena::activation_bytes(n, w.cols) + 4096 +
                       Arena::activation_bytes(n, kMostRank));
  ThreadPool::instance().run([&](Region& region) {
    Pass pass = make_pass(region, state, adapters, 0, n);
    pass.arena = Arena(memory.data(), memory.size());
    pass.project(w, copied(pass, in, w.cols, w.quantized_input()), n, out, w.rows);
  });
}

void Forward::set_source(std::span<const float> hidden, const AdapterSet* adapters,
                         SequenceState& state) {
  const int64_t c = spec_.hidden_size, all = static_cast<int64_t>(hidden.size()) / c;
  AlignedBuffer memory(source_bytes(spec_, all));
  ThreadPool::instance().run([&](Region& region) {
    Pass pass = make_pass(region, state, adapters, 0, all);
    pass.arena = Arena(memory.data(), memory.size());
    const Activations source = copied(pass, hidden, c, true);
    for (size_t i = 0; i < spec_.layers.size(); ++i)
      for (size_t j = 0; j < spec_.layers[i].size(); ++j)
        for (size_t b = 0; b < spec_.layers[i][j].branches.size(); ++b) {
          const auto* a = std::get_if<AttentionSpec>(&spec_.layers[i][j].branches[b].op);
          if (a == nullptr) continue;
          if (a->cross)
            store_source(pass, *a, std::get<AttentionWeights>(weights_.layers[i][j].branches[b].op),
                         source);
          ++pass.attention;
        }
  });
  state.kv.n_source = all;
}

}  // namespace lm
