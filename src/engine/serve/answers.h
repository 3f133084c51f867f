// Runs the generations of a request and hands on what comes.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/api/generate.h"
#include "engine/serve/call.h"
#include "engine/serve/prompt.h"

namespace lm::serve {

struct AnswerPlan {
  ServedModel model;
  std::vector<Prompt> prompts;
  GenerateOptions options;  // a seed counts up from answer to answer
  int64_t n = 1;            // answers to each prompt: index = prompt * n + answer
  bool include_stop_text = false;
};

// New text of one answer, with the tokens that came since the part before; both may be empty.
struct AnswerPart {
  size_t index = 0;
  std::string text;
  std::span<const int32_t> ids;
  std::span<const StepLogprobs> logprobs;  // as many, if asked for
};

struct FinishedAnswer {
  std::string text;
  std::vector<int32_t> ids;
  std::vector<StepLogprobs> logprobs;
  GenerateStats stats;
};

using OnPart = std::function<void(const AnswerPart& part)>;
using OnEnd = std::function<void(size_t index, const FinishedAnswer& answer)>;

// Makes all answers at the same time; on_part and on_end may be empty. Ends with Error{interrupted}
// when the client goes. Counts in the call and the metrics; asks on_token and on_response.
std::vector<FinishedAnswer> run_answers(Call& call, const AnswerPlan& plan, const OnPart& on_part,
                                        const OnEnd& on_end);

// {prompt_tokens, completion_tokens, total_tokens, details} as OpenAI counts.
Json usage_of(const AnswerPlan& plan, const std::vector<FinishedAnswer>& answers);

}  // namespace lm::serve
