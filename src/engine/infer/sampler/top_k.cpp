// The k most likely tokens; ties go to the lower id.
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.top_k > 0;
}

void apply(const SamplingOptions& o, std::span<const int32_t>, Candidates& c) {
  c.keep_best(static_cast<size_t>(o.top_k));
}

}  // namespace

extern const SamplerStep kSampler_top_k;
const SamplerStep kSampler_top_k = {"top_k", active, apply};

}  // namespace lm
