// A sequence of tokens of the list is never completed: its last token is forbidden where the
// others stand before it.
#include <algorithm>

#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

bool active(const SamplingOptions& o) {
  return !o.bad_words.empty();
}

void apply(const SamplingOptions& o, const SampleInput& in, Candidates& c) {
  for (const std::vector<int32_t>& word : o.bad_words) {
    if (word.empty() || word.size() - 1 > in.context.size()) continue;
    if (std::equal(word.begin(), word.end() - 1,
                   in.context.end() - static_cast<std::ptrdiff_t>(word.size() - 1)))
      c.forbid(word.back());
  }
}

}  // namespace

extern const SamplerKind kSampler_bad_words;
const SamplerKind kSampler_bad_words = {"bad_words",
                                        SamplerRole::mask,
                                        "bad_words",
                                        "z_i = -inf where i would complete a listed sequence",
                                        "transformers NoBadWordsLogitsProcessor, vLLM bad_words",
                                        active,
                                        stateless<apply>};

}  // namespace lm
