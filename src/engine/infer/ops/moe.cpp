// Mixture of experts: a router picks a few MLPs for each token. Tokens of one expert are gathered
// so that its weights are read once; a token's experts are added in rising order of their numbers,
// so that its result does not depend on the batch.
#include <cmath>
#include <cstring>

#include "engine/infer/pass.h"

namespace lm {
namespace {

struct Choice {
  int32_t expert;
  float weight;
};

int64_t largest_expert(const MoeSpec& m) {
  int64_t size = 1;
  for (const MlpSpec& e : m.experts) size = std::max(size, e.size);
  return size;
}

void softmax(float* s, size_t n) {
  const float top = *std::max_element(s, s + n);
  float total = 0;
  for (size_t i = 0; i < n; ++i) total += s[i] = std::exp(s[i] - top);
  for (size_t i = 0; i < n; ++i) s[i] /= total;
}

size_t best(const float* s, size_t n) {
  return static_cast<size_t>(std::max_element(s, s + n) - s);
}

// Scores outside of the best groups become 0 (DeepSeek-V2: a group is as good as its best expert;
// with a choice bias, V3: as its two best together).
void keep_best_groups(const MoeSpec& m, float* s, size_t n) {
  const auto groups = static_cast<size_t>(m.n_groups), size = n / groups;
  std::vector<float> quality(groups);
  for (size_t g = 0; g < groups; ++g) {
    std::vector<float> members(s + g * size, s + (g + 1) * size);
    std::sort(members.begin(), members.end(), std::greater<>());
    quality[g] = members[0] + (m.choice_bias.empty() || size < 2 ? 0.0f : members[1]);
  }
  std::vector<bool> kept(groups);
  for (int64_t i = 0; i < m.n_groups_used; ++i) {
    const size_t g = best(quality.data(), groups);
    kept[g] = true;
    quality[g] = -INFINITY;
  }
  for (size_t g = 0; g < groups; ++g)
    if (!kept[g]) std::fill(s + g * size, s + (g + 1) * size, 0.0f);
}

// The best, then the best of the rest, each weighed among the experts whose score is within
// 2 jitter of it (relative).
void sparsemixer(const MoeSpec& m, const float* scores, size_t n, Choice* out) {
  std::vector<float> rest(scores, scores + n);
  for (int64_t i = 0; i < m.n_used; ++i) {
    const size_t top = best(rest.data(), n);
    const float limit = rest[top];
    float total = 0;
    for (size_t e = 0; e < n; ++e) {
      const float factor = std::max(std::fabs(scores[e]), limit);
      if (rest[e] == -INFINITY || (limit - scores[e]) / factor > 2.0f * m.jitter) continue;
      total += std::exp(scores[e] - limit);
    }
    out[i] = {static_cast<int32_t>(top), 1.0f / total};
    rest[top] = -INFINITY;
  }
}

// scores [E] are changed.
void choose(const MoeSpec& m, const std::vector<float>& choice_bias, float* scores, Choice* out) {
  const size_t n = m.experts.size();
  if (m.router == RouterKind::sparsemixer) return sparsemixer(m, scores, n, out);
  if (m.router == RouterKind::softmax)
    softmax(scores, n);
  else
    for (size_t e = 0; e < n; ++e) scores[e] = 1.0f / (1.0f + std::exp(-scores[e]));
  std::vector<float> rank(scores, scores + n);
  for (size_t e = 0; e < choice_bias.size(); ++e) rank[e] += choice_bias[e];
  if (m.n_groups > 1) keep_best_groups(m, rank.data(), n);
  float total = 0;
  for (int64_t i = 0; i < m.n_used; ++i) {
    const size_t e = best(rank.data(), n);
    out[i] = {static_cast<int32_t>(e), scores[e]};
    total += scores[e];
    rank[e] = -INFINITY;
  }
  const float scale = m.renormalize ? m.scale / (total + 1e-20f) : m.scale;
  for (int64_t i = 0; i < m.n_used; ++i) out[i].weight *= scale;
}

void copy_row(const Activations& from, int64_t a, const Activations& to, int64_t b,
              bool quantized) {
  const auto cols = static_cast<size_t>(from.cols);
  std::memcpy(to.x + b * to.stride, from.x + a * from.stride, cols * 4);
  if (!quantized) return;
  const int64_t blocks = from.cols / kQuantBlock;
  const auto bytes = static_cast<size_t>(blocks) * 4;
  std::memcpy(to.q + b * to.stride, from.q + a * from.stride, cols);
  if (to.q_low != nullptr)
    std::memcpy(to.q_low + b * to.stride, from.q_low + a * from.stride, cols);
  std::memcpy(to.d + b * blocks, from.d + a * blocks, bytes);
  std::memcpy(to.dsum + b * blocks, from.dsum + a * blocks, bytes);
  std::memcpy(to.sum + 2 * b * blocks, from.sum + 2 * a * blocks, 2 * bytes);
}

// The adapters of gathered rows, whose tokens are in rising order.
std::vector<AdapterRun> gathered_runs(const Pass& pass, const int32_t* tokens, int64_t count) {
  std::vector<AdapterRun> runs;
  for (const AdapterRun& run : pass.adapters) {
    const auto row_of = [&](int64_t token) {
      return std::lower_bound(tokens, tokens + count, token) - tokens;
    };
    runs.push_back({row_of(run.begin), row_of(run.end), run.adapters});
  }
  return runs;
}

// One expert for the tokens that chose it; sum[token] += weight * expert(token).
void run_expert(Pass& pass, const MlpSpec& m, const MlpWeights& w, bool quantized,
                const int32_t* tokens, const float* weights, int64_t count, float* sum) {
  const size_t mark = pass.arena.used();
  const int64_t hidden = pass.spec.hidden_size;
  const auto all_runs = pass.adapters;
  const auto runs = gathered_runs(pass, tokens, count);
  pass.adapters = runs;
  const Activations in = pass.coarse(pass.arena.activations(count, hidden));
  pass.share_tokens(count, [&](int64_t i) { copy_row(pass.normed, tokens[i], in, i, quantized); });
  const Activations units = mlp_hidden(pass, m, w, in, count);
  float* out = pass.arena.floats(count * hidden);
  pass.project(w.out, units, count, out, hidden);
  pass.share_tokens(count, [&](int64_t i) {
    for (int64_t c = 0; c < hidden; ++c)
      sum[tokens[i] * hidden + c] += weights[i] * out[i * hidden + c];
  });
  pass.adapters = all_runs;
  pass.arena.reset(mark);
}

}  // namespace

size_t scratch_bytes(const MoeSpec& m, int64_t hidden, int64_t n) {
  MlpSpec largest;
  largest.size = std::max(largest_expert(m), m.shared ? m.shared->size : 0);
  const auto experts = static_cast<int64_t>(m.experts.size());
  return Arena::float_bytes(n * experts) + Arena::float_bytes(2 * n * m.n_used) * 2 +
         Arena::float_bytes(experts + 1) + 3 * Arena::float_bytes(n * hidden) +
         Arena::activation_bytes(n, hidden) + scratch_bytes(largest, hidden, n);
}

bool quantized_input(const MoeWeights& w) {
  bool any =
      w.gate.quantized_input() || w.shared.in.quantized_input() || w.shared_gate.quantized_input();
  for (const MlpWeights& e : w.experts) any = any || e.in.quantized_input();
  return any;
}

void run(Pass& pass, const MoeSpec& m, const MoeWeights& w, const Branch& branch,
         const BranchWeights& weights) {
  const auto experts = static_cast<int64_t>(m.experts.size());
  const int64_t n = pass.n, hidden = pass.spec.hidden_size;
  const bool quantized = quantized_input(w);
  float* scores = pass.arena.floats(n * experts);
  auto* chosen = reinterpret_cast<Choice*>(pass.arena.floats(2 * n * m.n_used));
  auto* tokens = reinterpret_cast<int32_t*>(pass.arena.floats(n * m.n_used));
  float* expert_weights = pass.arena.floats(n * m.n_used);
  auto* first = reinterpret_cast<int32_t*>(pass.arena.floats(experts + 1));
  float* sum = pass.arena.floats(n * hidden);

  pass.project(w.gate, pass.normed, n, scores, experts);
  pass.share_tokens(n, [&](int64_t t) {
    choose(m, w.choice_bias, scores + t * experts, chosen + t * m.n_used);
    std::memset(sum + t * hidden, 0, static_cast<size_t>(hidden) * 4);
  });
  // The tokens of each expert, in order.
  pass.region.share(1, 1, [&](int64_t, int64_t) {
    int32_t at = 0;
    for (int32_t e = 0; e < experts; ++e) {
      first[e] = at;
      for (int64_t i = 0; i < n * m.n_used; ++i)
        if (chosen[i].expert == e) {
          tokens[at] = static_cast<int32_t>(i / m.n_used);
          expert_weights[at++] = chosen[i].weight;
        }
    }
    first[experts] = at;
  });
  for (int64_t e = 0; e < experts; ++e) {
    const int32_t begin = first[e], count = first[e + 1] - begin;
    if (count > 0)
      run_expert(pass, m.experts[static_cast<size_t>(e)], w.experts[static_cast<size_t>(e)],
                 quantized, tokens + begin, expert_weights + begin, count, sum);
  }
  if (m.shared) {
    const Activations units = mlp_hidden(pass, *m.shared, w.shared, pass.normed, n);
    float* out = pass.arena.floats(n * hidden);
    float* gate = pass.arena.floats(n);
    pass.project(w.shared.out, units, n, out, hidden);
    if (m.shared_gate) pass.project(w.shared_gate, pass.normed, n, gate, 1);
    pass.share_tokens(n, [&](int64_t t) {
      const float g = m.shared_gate ? 1.0f / (1.0f + std::exp(-gate[t])) : 1.0f;
      for (int64_t c = 0; c < hidden; ++c) sum[t * hidden + c] += g * out[t * hidden + c];
    });
  }
  pass.finish(sum, branch, weights);
}

}  // namespace lm
