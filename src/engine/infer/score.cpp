#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/infer/logprobs.h"
#include "engine/models/model_spec.h"

namespace lm {
namespace {

// Up to here tokens are evaluated one by one behind a prompt that may be there already.
constexpr size_t kShort = 16;
// Logits that are held at once, in floats: 256 MiB.
constexpr size_t kMostLogits = size_t{64} << 20;

std::vector<StepLogprobs> one_by_one(Context& context, std::span<const int32_t> ids,
                                     size_t n_prompt, int64_t top) {
  std::vector<StepLogprobs> steps;
  auto logits = context.eval(ids.first(n_prompt));
  for (size_t i = n_prompt; i < ids.size(); ++i) {
    steps.push_back(step_logprobs(logits, ids[i], top));
    if (i + 1 < ids.size()) logits = context.append(ids[i]);
  }
  return steps;
}

std::vector<StepLogprobs> at_once(Context& context, std::span<const int32_t> ids, size_t n_prompt,
                                  int64_t top) {
  const auto vocab = static_cast<size_t>(context.model()->info().vocab_size);
  const auto logits = context.eval_all(ids.first(ids.size() - 1));
  std::vector<StepLogprobs> steps;
  for (size_t i = n_prompt; i < ids.size(); ++i)
    steps.push_back(step_logprobs(std::span(logits).subspan((i - 1) * vocab, vocab), ids[i], top));
  return steps;
}

}  // namespace

std::vector<StepLogprobs> score_tokens(Context& context, std::span<const int32_t> ids,
                                       size_t n_prompt, int64_t top) {
  LM_CHECK(n_prompt >= 1, ErrorCode::bad_option,
           "there is no token before the first one to score; expected a prompt of at least one");
  if (n_prompt >= ids.size()) return {};
  const auto vocab = context.model()->info().vocab_size;
  for (const int32_t id : ids)
    LM_CHECK(id >= 0 && id < vocab, ErrorCode::bad_option,
             "token id {} is outside the vocabulary 0..{}", id, vocab - 1);
  const auto start = context.begin(ids.first(n_prompt));
  if (context.model()
          ->spec()
          .encoder) {  // the prompt is the encoder's; the answer follows its start
    std::vector<int32_t> answer = start;
    answer.insert(answer.end(), ids.begin() + static_cast<std::ptrdiff_t>(n_prompt), ids.end());
    return one_by_one(context, answer, answer.size() - (ids.size() - n_prompt), top);
  }
  const bool few = ids.size() - n_prompt <= kShort;
  const bool large = ids.size() * static_cast<size_t>(vocab) > kMostLogits;
  return few || large ? one_by_one(context, ids, n_prompt, top)
                      : at_once(context, ids, n_prompt, top);
}

}  // namespace lm
