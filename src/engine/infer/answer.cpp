#include "engine/infer/answer.h"

#include <algorithm>

#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/infer/guidance.h"
#include "engine/infer/logprobs.h"
#include "engine/infer/sampler/dry_breakers.h"
#include "engine/infer/stop_ids.h"
#include "engine/text/tokenizer.h"

namespace lm {

namespace {

std::vector<int32_t> control_tokens_in(const Tokenizer& tokenizer,
                                       const std::vector<std::string>& texts) {
  std::vector<int32_t> found;
  for (const std::string& text : texts)
    for (const int32_t id : tokenizer.encode(text, {false, true}))
      if (tokenizer.is_special(id)) found.push_back(id);
  return found;
}

}  // namespace

Answer::Answer(const Model& model, size_t n_prompt, const GenerateOptions& options)
    : options_(options),
      stop_tokens_(stop_ids(*model.tokenizer(), options.stop_token_ids, options.ignore_eos)),
      sampler_(with_dry_breakers(options.sampling, *model.tokenizer()),
               {model.info().vocab_size, n_prompt, stop_tokens_}),
      text_(model.tokenizer(),
            {.show = control_tokens_in(*model.tokenizer(), options.show_tokens)}),
      stops_(options.stop) {
  LM_CHECK(options.max_tokens >= 0, ErrorCode::bad_option, "max_tokens is {}; expected 0 or more",
           options.max_tokens);
  check_guidance(options.guidance, model.info().vocab_size);
  if (options.constraint) constraint_.emplace(options.constraint);
}

bool Answer::stops_at(int32_t id) const {
  return std::find(stop_tokens_.begin(), stop_tokens_.end(), id) != stop_tokens_.end();
}

std::vector<int32_t> Answer::choose(std::span<const float> logits, std::span<const int32_t> text,
                                    const LogitsHook& hook) {
  auto seen = logits;
  if (hook || options_.guidance.context || constraint_) {
    edited_.assign(logits.begin(), logits.end());
    seen = edited_;
  }
  if (options_.guidance.context) guide(options_.guidance, produced_, edited_);
  if (hook) hook(text, edited_);
  if (constraint_) constraint_->apply(edited_, stop_tokens_);
  const int32_t id = sampler_.sample(seen, text);
  if (stops_at(id)) {
    end("stop");
    return {};
  }
  std::vector<int32_t> taken;
  const bool record = options_.logprobs >= 0;
  take(id, record ? step_logprobs(logits, id, options_.logprobs) : StepLogprobs{}, &taken);
  if (!constraint_ || record) return taken;
  for (const int32_t forced : ended_ ? std::vector<int32_t>{} : constraint_->forced()) {
    if (ended_) break;
    take(forced, {}, &taken);
  }
  return taken;
}

void Answer::take(int32_t id, StepLogprobs logprobs, std::vector<int32_t>* taken) {
  produced_.push_back(id);
  taken->push_back(id);
  events_.push_back({id, stops_.push(text_.push(id)), std::move(logprobs), nullptr, {}});
  if (constraint_) constraint_->accept(id);
  if (stops_.stopped() || (constraint_ && constraint_->is_done()))
    end("stop");
  else if (static_cast<int64_t>(produced_.size()) >= options_.max_tokens)
    end("length");
}

void Answer::end(const char* reason) {
  AnswerEvent last;
  if (!stops_.stopped()) last.piece = stops_.push(text_.finish());
  last.piece += stops_.finish();
  last.finish_reason = reason;
  last.stop_text = stops_.matched();
  events_.push_back(std::move(last));
  ended_ = true;
}

}  // namespace lm
