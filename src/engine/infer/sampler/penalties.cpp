// Repetition penalty (Keskar et al. 2019: logits of seen tokens divided by r when positive,
// multiplied when negative), then presence and frequency penalties as OpenAI defines them.
#include <algorithm>
#include <unordered_map>

#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.repetition_penalty != 1.0 || o.presence_penalty != 0.0 || o.frequency_penalty != 0.0;
}

std::unordered_map<int32_t, int> count(std::span<const int32_t> tokens) {
  std::unordered_map<int32_t, int> counts;
  for (const int32_t id : tokens) ++counts[id];
  return counts;
}

std::span<const int32_t> window(std::span<const int32_t> tokens, int64_t n) {
  return n < 0 ? tokens : tokens.last(std::min(tokens.size(), static_cast<size_t>(n)));
}

void apply(const SamplingOptions& o, const SampleInput& in, Candidates& c) {
  const auto seen = window(in.context, o.penalty_window);
  const auto counted =
      o.penalize_prompt ? seen : seen.last(std::min(seen.size(), in.produced().size()));
  if (o.repetition_penalty != 1.0) {
    const auto r = static_cast<float>(o.repetition_penalty);
    for (const auto& [id, n] : count(seen))
      if (float* logit = c.find(id)) *logit = *logit > 0 ? *logit / r : *logit * r;
  }
  if (o.presence_penalty != 0.0 || o.frequency_penalty != 0.0)
    for (const auto& [id, n] : count(counted))
      if (float* logit = c.find(id))
        *logit -= static_cast<float>(o.presence_penalty + o.frequency_penalty * n);
  c.changed();
}

}  // namespace

extern const SamplerKind kSampler_penalties;
const SamplerKind kSampler_penalties = {
    "penalties",
    SamplerRole::edit,
    "repetition_penalty presence_penalty frequency_penalty penalty_window penalize_prompt",
    "z > 0 ? z / r : z * r for seen tokens; then z - presence * [n > 0] - frequency * n",
    "Keskar et al. 2019, arXiv:1909.05858; OpenAI API",
    active,
    stateless<apply>};

}  // namespace lm
