// Repetition penalty (Keskar et al. 2019, CTRL: logits of seen tokens divided by r when positive,
// multiplied when negative) and OpenAI's presence and frequency penalties (logit - presence *
// [count > 0] - frequency * count).
#include <algorithm>
#include <unordered_map>

#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.repetition_penalty != 1.0 || o.presence_penalty != 0.0 || o.frequency_penalty != 0.0;
}

void apply(const SamplingOptions& o, std::span<const int32_t> context, Candidates& c) {
  const size_t window = o.penalty_window < 0
                            ? context.size()
                            : std::min(context.size(), static_cast<size_t>(o.penalty_window));
  std::unordered_map<int32_t, int> counts;
  for (const int32_t id : context.subspan(context.size() - window)) ++counts[id];
  for (const auto& [id, count] : counts) {  // candidates are still in id order here
    if (id < 0 || static_cast<size_t>(id) >= c.all.size()) continue;
    float& logit = c.all[static_cast<size_t>(id)].logit;
    const auto r = static_cast<float>(o.repetition_penalty);
    logit = logit > 0 ? logit / r : logit * r;
    logit -= static_cast<float>(o.presence_penalty + o.frequency_penalty * count);
  }
}

}  // namespace

extern const SamplerStep kSampler_penalties;
const SamplerStep kSampler_penalties = {"penalties", active, apply};

}  // namespace lm
