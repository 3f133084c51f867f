// Tokens that end the generation are forbidden until min_tokens were produced.
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.min_tokens > 0;
}

struct Step : SamplerStep {
  const SamplingOptions& o;
  const SamplerSetup& setup;
  Step(const SamplingOptions& options, const SamplerSetup& s) : o(options), setup(s) {}
  void apply(const SampleInput& in, Candidates& c) override {
    if (in.produced().size() >= static_cast<size_t>(o.min_tokens)) return;
    for (const int32_t id : setup.stop_ids) c.forbid(id);
  }
};

std::unique_ptr<SamplerStep> make(const SamplingOptions& o, const SamplerSetup& setup) {
  return std::make_unique<Step>(o, setup);
}

}  // namespace

extern const SamplerKind kSampler_min_tokens;
const SamplerKind kSampler_min_tokens = {
    "min_tokens",
    SamplerRole::mask,
    "min_tokens",
    "z_i = -inf for end tokens before min_tokens",
    "transformers MinNewTokensLengthLogitsProcessor, vLLM min_tokens",
    active,
    make};

}  // namespace lm
