#include "engine/infer/forward.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/infer/profile.h"

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
    using Op = std::decay_t<decltype(op)>;
    const Activations fine = pass.normed;
    if constexpr (std::is_same_v<Op, AttentionSpec> || std::is_same_v<Op, MlpSpec> ||
                  std::is_same_v<Op, MoeSpec>)
      pass.normed = pass.coarse(fine);
    pass.normalize(branch.norm, w.norm, in, pass.n, quantized_input(weights));
    run(pass, op, weights, branch, w);
    pass.normed = fine;
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

namespace {

// What ops take from the arena at most.
size_t arena_bytes(const ModelSpec& spec, int64_t positions, int64_t capacity) {
  size_t arena = 0;
  for_each_branch(spec, [&](const Branch& branch) {
    size_t bytes = std::visit(
        [&](const auto& op) { return lm::scratch_bytes(op, spec.hidden_size, capacity); },
        branch.op);
    if (const auto* a = std::get_if<AttentionSpec>(&branch.op)) {
      bytes += attention_chunk_bytes(*a, positions);
      if (!a->position_bias.empty())  // one list of all distances for each head
        bytes += Arena::float_bytes(2 * a->n_heads * positions);
    }
    arena = std::max(arena, bytes);
  });
  return arena;
}

}  // namespace

int64_t Forward::scratch_bytes(const ModelSpec& spec, int64_t context, int64_t capacity) {
  const int64_t rows = 3 * capacity * spec.hidden_size * 4;
  return static_cast<int64_t>(arena_bytes(spec, context + spec.n_meta, capacity) +
                              Arena::activation_bytes(capacity, spec.hidden_size)) +
         rows;
}

Forward::Forward(const ModelSpec& spec, const ModelWeights& weights, const KvPages& pages,
                 int64_t context, int64_t capacity)
    : spec_(spec), weights_(weights), pages_(pages), capacity_(capacity) {
  context += spec.n_meta;
  const int64_t positions = std::max(context, spec.encoder ? spec.encoder->context_length : 0);
  for_each_branch(spec, [&](const Branch& branch) {
    if (const auto* a = std::get_if<AttentionSpec>(&branch.op)) {
      add_rope(a->rope);
      scratch_floats_ = std::max(scratch_floats_, round_up(attention_scratch_floats(*a), 16));
    }
  });
  const size_t arena = arena_bytes(spec, positions, capacity);
  // The last part is for adapters; untouched memory costs nothing.
  arena_ = AlignedBuffer(arena + Arena::activation_bytes(capacity, spec.hidden_size) + 4096 +
                         Arena::activation_bytes(capacity, kMostRank));
  x_ = float_buffer(capacity * spec.hidden_size);
  x_before_ = float_buffer(capacity * spec.hidden_size);
  first_values_ = float_buffer(capacity * spec.hidden_size);
  scratch_ = float_buffer(scratch_floats_ * ThreadPool::instance().n_threads());
  int64_t half_dims = 0;
  for (const Rope& rope : ropes_) half_dims += static_cast<int64_t>(rope.spec->frequencies.size());
  rope_ = float_buffer(2 * capacity * half_dims + 16);
  float* at = rope_.as<float>();
  for (Rope& rope : ropes_) {
    const int64_t n = capacity * static_cast<int64_t>(rope.spec->frequencies.size());
    rope.cos = std::exchange(at, at + n);
    rope.sin = std::exchange(at, at + n);
  }
  for (const size_t i : rope_of_attention_) rope_tables_.push_back({ropes_[i].cos, ropes_[i].sin});
}

void Forward::add_rope(const RopeSpec& rope) {
  size_t i = 0;
  while (i < ropes_.size() && !same_turns(*ropes_[i].spec, rope)) ++i;
  if (i == ropes_.size()) ropes_.push_back({&rope, {rope.frequencies}, nullptr, nullptr});
  rope_of_attention_.push_back(i);
}

void Forward::fill_ropes(size_t segment, int64_t t, int64_t position) {
  for (const Rope& rope : ropes_) {
    const std::vector<double>& turns = rope.frequencies[rope.spec->limit > 0 ? segment : 0];
    const size_t half = turns.size(), at = static_cast<size_t>(t) * half;
    for (size_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(position) * turns[i];
      rope.cos[at + i] = static_cast<float>(std::cos(angle)) * rope.spec->magnitude;
      rope.sin[at + i] = static_cast<float>(std::sin(angle)) * rope.spec->magnitude;
    }
  }
}

// t: the token's place in the segment.
void Forward::embed(const Segment& segment, int64_t t, int64_t position, float* out) const {
  const int64_t hidden = spec_.hidden_size;
  const auto add_row = [&](const std::vector<float>& table, int64_t row) {
    if (table.empty()) return;
    for (int64_t i = 0; i < hidden; ++i) out[i] += table[static_cast<size_t>(row * hidden + i)];
  };
  const auto index = static_cast<size_t>(t);
  const float* given = segment.embeddings.empty() ? nullptr : segment.embeddings[index];
  if (given != nullptr) {
    std::memcpy(out, given, static_cast<size_t>(hidden) * 4);
  } else {
    embedding_row(weights_, segment.tokens[index], out);
    if (spec_.embedding_scale != 1.0f)
      for (int64_t i = 0; i < hidden; ++i) out[i] *= spec_.embedding_scale;
  }
  add_row(weights_.positions, position + spec_.position_offset);
  add_row(weights_.token_types, segment.token_types.empty() ? 0 : segment.token_types[index]);
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

// The residual rows that the layers begin with, and the rotations of their positions.
void Forward::embed_rows(std::span<const Segment> segments, Pass& pass) {
  const ProfileScope scope(pass.region, "embed");
  const int64_t hidden = spec_.hidden_size;
  pass.share_rows([&](const PassSegment& at, int64_t t) {
    const auto segment = static_cast<size_t>(&at - segments_.data());
    const int64_t position = Pass::position(at, t);
    float* row = pass.x + t * hidden;
    embed(segments[segment], t - at.begin, position, row);
    pass.norm_row(spec_.embedding_norm, weights_.embedding_norm, row, hidden, row);
    fill_ropes(segment, t, position);
  });
}

void Forward::run(std::span<const Segment> segments, float* logits, Pass& pass) {
  embed_rows(segments, pass);
  for (size_t i = 0; i < spec_.layers.size(); ++i)
    for (size_t j = 0; j < spec_.layers[i].size(); ++j)
      run_block(spec_.layers[i][j], weights_.layers[i][j], pass);
  finish(segments, logits, pass);
}

// Hidden states and logits where they are wanted.
void Forward::finish(std::span<const Segment> segments, float* logits, Pass& pass) {
  const int64_t hidden = spec_.hidden_size, vocab = spec_.vocab_size;
  for (size_t s = 0; s < segments.size(); ++s) {
    if (segments[s].hidden == nullptr) continue;
    const float* from = pass.x + segments_[s].begin * hidden;
    pass.share_tokens(segments_[s].size(), [&](int64_t t) {
      pass.norm_row(spec_.final_norm, weights_.final_norm, from + t * hidden, hidden,
                    segments[s].hidden + t * hidden);
    });
  }
  const auto n = static_cast<int64_t>(logit_rows_.size());
  if (n == 0) return;
  const bool quantized = weights_.output.quantized_input();
  pass.share_tokens(n, [&](int64_t t) {
    pass.norm_row(spec_.final_norm, weights_.final_norm, logit_rows_[static_cast<size_t>(t)],
                  hidden, pass.normed.x + t * pass.normed.stride);
    if (quantized) pass.quantize_row(pass.normed, t);
  });
  pass.adapters = logit_runs_;
  pass.project(weights_.output, pass.normed, n, logits, vocab);
  if (spec_.logit_scale == 1.0f && spec_.logit_softcap == 0.0f) return;
  pass.share_tokens(n, [&](int64_t t) {
    float* row = logits + t * vocab;
    for (int64_t v = 0; v < vocab; ++v) {
      row[v] *= spec_.logit_scale;
      if (spec_.logit_softcap > 0)
        row[v] = spec_.logit_softcap * std::tanh(row[v] / spec_.logit_softcap);
    }
  });
}

namespace {

// Neighbours with the same adapters make one run, and a single run never ends.
void add_run(std::vector<AdapterRun>& runs, int64_t n, const AdapterSet* adapters) {
  const int64_t begin = runs.empty() ? 0 : runs.back().end;
  if (!runs.empty() && runs.back().adapters == adapters)
    runs.back().end += n;
  else
    runs.push_back({begin, begin + n, adapters});
}
void close_runs(std::vector<AdapterRun>& runs) {
  if (runs.size() == 1) runs[0].end = INT64_MAX;
}

}  // namespace

void Forward::set_segments(std::span<const Segment> segments) {
  segments_.clear();
  runs_.clear();
  logit_runs_.clear();
  logit_rows_.clear();
  for (Rope& rope : ropes_)
    if (rope.spec->limit > 0) rope.frequencies.clear();
  int64_t at = 0;
  for (const Segment& s : segments) {
    const auto n = static_cast<int64_t>(s.tokens.size());
    const int64_t before = s.state->n_before;
    const PassSegment segment{at, at + n, before + s.n_past, s.state};
    segments_.push_back(segment);
    at += n;
    add_run(runs_, n, s.adapters);
    if (s.n_logits > 0) add_run(logit_runs_, s.n_logits, s.adapters);
    for (int64_t t = at - s.n_logits; t < at; ++t)
      logit_rows_.push_back(x_.as<float>() + t * spec_.hidden_size);
    const int64_t length = std::max(before + s.length, segment.length());
    for (Rope& rope : ropes_)
      if (rope.spec->limit > 0) rope.frequencies.push_back(rope_at(*rope.spec, length));
  }
  close_runs(runs_);
  close_runs(logit_runs_);
}

Pass Forward::make_pass(Region& region, int64_t n) {
  return {.region = region,
          .k = kernels(),
          .spec = spec_,
          .cache = pages_,
          .segments = segments_,
          .adapters = runs_,
          .arena = Arena(arena_.data(), arena_.size()),
          .n = n,
          .x = x_.as<float>(),
          .normed = {},
          .scratch = scratch_.as<float>() + region.thread() * scratch_floats_,
          .ropes = rope_tables_.data(),
          .attention = 0,
          .recurrent = 0,
          .first_values = first_values_.as<float>(),
          .fine_inputs = weights_.precision != Precision::fast};
}

void Forward::begin(const AdapterSet* adapters, SequenceState& state) {
  if (state.start) {
    state.recurrent = *state.start;
    return;
  }
  state.recurrent.reset();
  state.n_before = 0;
  const VirtualTokens* own = adapters != nullptr ? adapters->virtual_tokens() : nullptr;
  if (spec_.n_meta == 0 && own == nullptr) return;
  put_before(weights_.meta_tokens, adapters, state);
  if (own != nullptr && own->kind == VirtualTokens::Kind::prompt)
    put_before(own->values, adapters, state);
  else if (own != nullptr)
    put_prefix(*own, state);
  state.start = state.recurrent;
}

void Forward::put_before(std::span<const float> rows, const AdapterSet* adapters,
                         SequenceState& state) {
  const auto all = static_cast<int64_t>(rows.size()) / spec_.hidden_size;
  const std::vector<int32_t> ids(static_cast<size_t>(all));  // their rows are given
  std::vector<const float*> list;
  for (int64_t i = 0; i < all; ++i) list.push_back(rows.data() + i * spec_.hidden_size);
  for (int64_t done = 0; done < all;) {
    const int64_t n = std::min(capacity_, all - done);
    state.prepare(state.n_before, state.n_before + n);
    Segment segment;
    segment.state = &state;
    segment.tokens = std::span(ids).first(static_cast<size_t>(n));
    segment.embeddings = std::span(list).subspan(static_cast<size_t>(done), static_cast<size_t>(n));
    segment.adapters = adapters;
    eval({&segment, 1}, nullptr);
    done += n;
    state.n_before += n;
  }
}

void Forward::put_prefix(const VirtualTokens& prefix, SequenceState& state) {
  state.prepare(0, prefix.n);
  segments_.assign(1, {0, prefix.n, 0, &state});
  ThreadPool::instance().run([&](Region& region) {
    Pass pass = make_pass(region, prefix.n);
    for_each_branch(spec_, [&](const Branch& branch) {
      if (const auto* a = std::get_if<AttentionSpec>(&branch.op)) store_prefix(pass, *a, prefix);
    });
  });
  state.n_before = prefix.n;
}

void Forward::eval(std::span<const Segment> segments, float* logits) {
  set_segments(segments);
  const int64_t n = segments_.back().end;
  ThreadPool::instance().run([&](Region& region) {
    Pass pass = make_pass(region, n);
    pass.normed = pass.arena.activations(capacity_, spec_.hidden_size);
    run(segments, logits, pass);
  });
}

void Forward::multiply(const LinearWeights& w, std::span<const float> in,
                       const AdapterSet* adapters, float* out) {
  const int64_t n = static_cast<int64_t>(in.size()) / w.cols;
  AlignedBuffer memory(Arena::activation_bytes(n, w.cols) + 4096 +
                       Arena::activation_bytes(n, kMostRank));
  runs_.assign(1, {0, INT64_MAX, adapters});
  ThreadPool::instance().run([&](Region& region) {
    Pass pass = make_pass(region, n);
    pass.arena = Arena(memory.data(), memory.size());
    pass.project(w, copied(pass, in, w.cols, w.quantized_input()), n, out, w.rows);
  });
}

void Forward::set_source(std::span<const float> hidden, const AdapterSet* adapters,
                         SequenceState& state) {
  const int64_t c = spec_.hidden_size, all = static_cast<int64_t>(hidden.size()) / c;
  AlignedBuffer memory(source_bytes(spec_, all));
  state.source_pages.resize(pages_for(all));
  segments_.assign(1, {0, all, 0, &state});
  runs_.assign(1, {0, INT64_MAX, adapters});
  ThreadPool::instance().run([&](Region& region) {
    Pass pass = make_pass(region, all);
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
  state.n_source = all;
}

}  // namespace lm
