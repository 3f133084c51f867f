// No n-gram occurs twice, in prompt and answer together: a token is forbidden where it followed
// the same n - 1 tokens before.
#include <algorithm>

#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return o.no_repeat_ngram_size > 0;
}

void apply(const SamplingOptions& o, const SampleInput& in, Candidates& c) {
  const auto n = static_cast<size_t>(o.no_repeat_ngram_size);
  if (in.context.size() < n) return;
  const auto last = in.context.last(n - 1);
  for (size_t i = 0; i + n <= in.context.size(); ++i)
    if (std::equal(last.begin(), last.end(), in.context.begin() + static_cast<std::ptrdiff_t>(i)))
      c.forbid(in.context[i + n - 1]);
}

}  // namespace

extern const SamplerKind kSampler_no_repeat_ngram;
const SamplerKind kSampler_no_repeat_ngram = {
    "no_repeat_ngram",
    SamplerRole::mask,
    "no_repeat_ngram_size",
    "z_i = -inf where i would repeat an n-gram",
    "Paulus et al. 2017, arXiv:1705.04304; transformers NoRepeatNGramLogitsProcessor",
    active,
    stateless<apply>};

}  // namespace lm
