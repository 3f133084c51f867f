#include <algorithm>
#include <chrono>
#include <deque>
#include <optional>

#include "engine/api/constraint.h"
#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/infer/guidance.h"
#include "engine/infer/logprobs.h"
#include "engine/infer/sampler/dry_breakers.h"
#include "engine/infer/sampler/sampler.h"
#include "engine/infer/stop_ids.h"
#include "engine/models/model_spec.h"
#include "engine/text/stop_strings.h"
#include "engine/text/tokenizer.h"
#include "engine/text/utf8_stream.h"

namespace lm {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

struct Generation::Impl {
  std::shared_ptr<Context> context;
  std::vector<int32_t> prompt, produced;
  GenerateOptions options;
  const std::vector<int32_t> stop_tokens;
  Sampler sampler;
  Utf8Stream text;
  StopStrings stops;
  GenerateStats stats;
  std::span<const float> logits;
  std::vector<float> edited;  // a copy for guidance and hook
  std::vector<StepLogprobs> logprobs;
  std::optional<ConstraintState> constraint;
  std::deque<int32_t> forced;  // by the constraint, not yet produced
  size_t evaluated = 0;        // of produced
  bool started = false, finished = false;

  Impl(std::shared_ptr<Context> c, std::vector<int32_t> p, GenerateOptions o)
      : context(std::move(c)),
        prompt(std::move(p)),
        options(std::move(o)),
        stop_tokens(
            stop_ids(*context->model()->tokenizer(), options.stop_token_ids, options.ignore_eos)),
        sampler(with_dry_breakers(options.sampling, *context->model()->tokenizer()),
                {context->model()->info().vocab_size,
                 context->model()->spec().encoder ? 1 : prompt.size(), stop_tokens}),
        text(context->model()->tokenizer()),
        stops(options.stop) {
    LM_CHECK(options.max_tokens >= 0, ErrorCode::bad_option, "max_tokens is {}; expected 0 or more",
             options.max_tokens);
    if (options.constraint) constraint.emplace(options.constraint);
    check_guidance(options.guidance, context->model()->info().vocab_size);
    stats.seed = sampler.seed();
    stats.prompt_tokens = static_cast<int64_t>(prompt.size());
  }

  // Evaluates the prompt, or what was produced since the last time.
  void evaluate() {
    const auto start = Clock::now();
    if (started && produced.size() == evaluated + 1) {
      logits = context->append(produced.back());
    } else {
      std::vector<int32_t> all = started ? context->tokens() : context->begin(prompt);
      all.insert(all.end(), produced.begin() + static_cast<ptrdiff_t>(evaluated), produced.end());
      logits = context->eval(all);
    }
    evaluated = produced.size();
    (started ? stats.decode_seconds : stats.prompt_seconds) += seconds_since(start);
    if (!started) stats.reused_tokens = context->n_reused();
    started = true;
  }

  void finish(const char* reason, std::string* piece) {
    finished = true;
    stats.finish_reason = reason;
    if (!stops.stopped()) *piece += stops.push(text.finish());
    *piece += stops.finish();
  }

  int32_t choose(const LogitsHook& hook) {
    auto given = logits;
    if (hook || options.guidance.context || constraint) {
      edited.assign(logits.begin(), logits.end());
      given = edited;
    }
    if (options.guidance.context) guide(options.guidance, produced, edited);
    if (hook) hook(context->tokens(), edited);
    if (constraint) constraint->apply(edited, stop_tokens);
    const int32_t id = sampler.sample(given, context->tokens());
    if (options.logprobs >= 0) logprobs.push_back(step_logprobs(logits, id, options.logprobs));
    return id;
  }

  // The next token: a forced one, or a chosen one.
  int32_t next_id(const LogitsHook& hook) {
    if (constraint && forced.empty() && options.logprobs < 0) {
      const auto ids = constraint->forced();
      forced.assign(ids.begin(), ids.end());
    }
    if (!forced.empty()) {
      const int32_t id = forced.front();
      forced.pop_front();
      return id;
    }
    evaluate();
    finished = true;  // what a hook or a sampler throws ends it
    stats.finish_reason = "error";
    const int32_t id = choose(hook);
    finished = false;
    stats.finish_reason.clear();
    return id;
  }

  bool next(std::string* piece, const LogitsHook& hook) {
    piece->clear();
    if (finished) return false;
    const bool full = context->tokens().size() + (started ? produced.size() - evaluated : 0) >
                      static_cast<size_t>(context->n_ctx());
    if (static_cast<int64_t>(produced.size()) >= options.max_tokens || full) {
      finish("length", piece);
      return !piece->empty();
    }
    const int32_t id = next_id(hook);
    if (std::find(stop_tokens.begin(), stop_tokens.end(), id) != stop_tokens.end()) {
      if (!logprobs.empty()) logprobs.pop_back();  // it is not part of the result
      finish("stop", piece);
      return !piece->empty();
    }
    produced.push_back(id);
    stats.completion_tokens = static_cast<int64_t>(produced.size());
    *piece = stops.push(text.push(id));
    if (constraint) constraint->accept(id);
    if (stops.stopped() || (constraint && constraint->is_done())) finish("stop", piece);
    return true;
  }
};

Generation::Generation(std::shared_ptr<Context> context, std::vector<int32_t> prompt,
                       GenerateOptions options)
    : impl_(std::make_unique<Impl>(std::move(context), std::move(prompt), std::move(options))) {}
Generation::~Generation() = default;

bool Generation::next(std::string* piece, const LogitsHook& hook) {
  return impl_->next(piece, hook);
}
const std::vector<int32_t>& Generation::tokens() const {
  return impl_->produced;
}
const std::vector<StepLogprobs>& Generation::logprobs() const {
  return impl_->logprobs;
}
const GenerateStats& Generation::stats() const {
  return impl_->stats;
}

}  // namespace lm
