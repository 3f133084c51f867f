#include <algorithm>
#include <chrono>
#include <deque>

#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/infer/guidance.h"
#include "engine/infer/logprobs.h"
#include "engine/infer/sampler/dry_breakers.h"
#include "engine/infer/sampler/sampler.h"
#include "engine/infer/scheduler.h"
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

// Steps that a generation may be ahead of its reader.
constexpr size_t kMostAhead = 64;

// One token on its way to the reader; or, with a finish reason, the end.
struct Event {
  int32_t id = -1;
  std::string piece;
  StepLogprobs logprobs;
  const char* finish_reason = nullptr;
};

}  // namespace

// As a task it is in one of three states: in line (the scheduler evaluates `pending` and calls
// ready()), waiting for its reader to choose (hooks and guidance run on the reader's thread), or
// resting. ready() makes events; publish() hands them over under the scheduler's lock.
struct Generation::Impl : Task {
  std::shared_ptr<Context> context;
  Scheduler& scheduler;
  std::vector<int32_t> prompt, produced;
  GenerateOptions options;
  const std::vector<int32_t> stop_tokens;
  Sampler sampler;
  Utf8Stream text;
  StopStrings stops;
  bool hooked = false;            // the reader chooses
  std::vector<float> own_logits;  // [V], where the reader chooses
  std::vector<int32_t> kept;      // the first tokens, which no shift forgets
  std::vector<Event> made;
  bool ended = false;  // the last event is made

  // Under the scheduler's lock.
  std::deque<Event> events;
  bool readers_turn = false;  // own_logits are there
  bool all_published = false;

  // The reader's side.
  bool started = false, finished = false;
  std::vector<int32_t> tokens;
  std::vector<StepLogprobs> logprobs;
  GenerateStats stats;

  Impl(std::shared_ptr<Context> c, std::vector<int32_t> p, GenerateOptions o)
      : Task(c->sequence()),
        context(std::move(c)),
        scheduler(Scheduler::of(*context->model())),
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
    LM_CHECK(options.overflow == "stop" || options.overflow == "shift", ErrorCode::bad_option,
             "overflow is \"{}\"; expected \"stop\" or \"shift\"", options.overflow);
    LM_CHECK(options.keep >= 0 && options.keep < context->n_ctx(), ErrorCode::bad_option,
             "keep is {}; expected 0..{}, below the context", options.keep, context->n_ctx() - 1);
    check_guidance(options.guidance, context->model()->info().vocab_size);
    priority = options.priority;
    fair_key = options.fair_key;
    stats.seed = sampler.seed();
    stats.prompt_tokens = static_cast<int64_t>(prompt.size());
  }
  ~Impl() override { scheduler.withdraw(*this); }

  // --- the scheduler's side

  std::vector<int32_t> ready(std::span<const float> given) override {
    return hooked ? std::vector<int32_t>{} : choose(given, {});
  }

  bool publish() override {
    readers_turn = hooked && made.empty();
    for (Event& event : made) events.push_back(std::move(event));
    made.clear();
    all_published = ended;
    if (!pending.empty()) make_room();
    return events.size() < kMostAhead;
  }

  // What follows the logits; the tokens to evaluate next.
  std::vector<int32_t> choose(std::span<const float> given, const LogitsHook& hook) {
    std::vector<float> edited;
    auto seen = given;
    if (hook || options.guidance.context) {
      edited.assign(given.begin(), given.end());
      seen = edited;
    }
    if (options.guidance.context) guide(options.guidance, produced, edited);
    if (hook) hook(sequence.tokens, edited);
    Event event;
    event.id = sampler.sample(seen, sequence.tokens);
    if (std::find(stop_tokens.begin(), stop_tokens.end(), event.id) != stop_tokens.end()) {
      end("stop");
      return {};
    }
    if (options.logprobs >= 0) event.logprobs = step_logprobs(given, event.id, options.logprobs);
    produced.push_back(event.id);
    event.piece = stops.push(text.push(event.id));
    const int32_t id = event.id;
    made.push_back(std::move(event));
    if (stops.stopped())
      end("stop");
    else if (static_cast<int64_t>(produced.size()) >= options.max_tokens || full())
      end("length");
    return ended ? std::vector<int32_t>{} : std::vector<int32_t>{id};
  }

  bool full() const {
    return options.overflow == "stop" && sequence.n_tokens() + 1 > sequence.n_ctx;
  }

  void end(const char* reason) {
    Event last;
    if (!stops.stopped()) last.piece = stops.push(text.finish());
    last.piece += stops.finish();
    last.finish_reason = reason;
    made.push_back(std::move(last));
    ended = true;
  }

  // Shifts a full context, under the lock: the tokens kept and the newer half of the others.
  void make_room() {
    if (sequence.n_tokens() + static_cast<int64_t>(pending.size()) <= sequence.n_ctx) return;
    const auto keep = static_cast<std::ptrdiff_t>(options.keep);
    const auto half = (sequence.n_tokens() - options.keep) / 2;
    std::vector<int32_t> rest(sequence.tokens.end() - half, sequence.tokens.end());
    rest.insert(rest.end(), pending.begin(), pending.end());
    sequence.cut(static_cast<size_t>(keep));
    if (sequence.tokens.empty())  // of a recurrent model: all is evaluated anew
      rest.insert(rest.begin(), kept.begin(), kept.end());
    pending = std::move(rest);
  }

  // --- the reader's side

  void begin(bool with_hook) {
    started = true;
    hooked = with_hook || options.guidance.context;
    if (options.max_tokens == 0) {
      end("length");
      scheduler.locked([&] { publish(); });
      return;
    }
    const auto first = context->begin(prompt);
    kept.assign(first.begin(), first.begin() + std::min<std::ptrdiff_t>(
                                                   static_cast<std::ptrdiff_t>(options.keep),
                                                   static_cast<std::ptrdiff_t>(first.size())));
    stats.reused_tokens = context->keep_common(first);
    pending.assign(first.begin() + stats.reused_tokens, first.end());
    if (hooked) {
      own_logits.resize(static_cast<size_t>(context->model()->info().vocab_size));
      Task::logits = own_logits.data();
    }
    scheduler.start(*this);
  }

  // Takes the next event; false: there is none and there will be none.
  bool take(Event* event, const LogitsHook& hook) {
    for (;;) {
      bool ours = false, over = false, found = false;
      scheduler.locked([&] {
        ours = std::exchange(readers_turn, false);
        found = !events.empty();
        over = all_published;
        if (!found) return;
        *event = std::move(events.front());
        events.pop_front();
      });
      if (found || over) return found;
      if (ours) {
        choose_here(hook);
        continue;
      }
      scheduler.start(*this);
      scheduler.wait(*this, [&] { return !events.empty() || readers_turn || all_published; });
    }
  }

  void choose_here(const LogitsHook& hook) {
    try {
      pending = choose(own_logits, hook);
    } catch (...) {  // what a hook or a sampler throws ends it
      finished = true;
      stats.finish_reason = "error";
      throw;
    }
    scheduler.alone([&] { publish(); });  // it may shift the text
  }

  bool next(std::string* piece, const LogitsHook& hook) {
    piece->clear();
    if (finished) return false;
    const auto start = Clock::now();
    const bool first = !started;
    Event event;
    try {
      if (!started) begin(static_cast<bool>(hook));
      if (!take(&event, hook)) return false;
    } catch (const Error& e) {
      if (e.code() != ErrorCode::interrupted && !finished) {
        finished = true;
        stats.finish_reason = "error";
      }
      throw;
    }
    if (first) stats.reused_tokens += n_reused;
    (first ? stats.prompt_seconds : stats.decode_seconds) += seconds_since(start);
    *piece = std::move(event.piece);
    if (event.finish_reason != nullptr) {
      finished = true;
      stats.finish_reason = event.finish_reason;
      return !piece->empty();
    }
    tokens.push_back(event.id);
    if (options.logprobs >= 0) logprobs.push_back(std::move(event.logprobs));
    stats.completion_tokens = static_cast<int64_t>(tokens.size());
    return true;
  }
};

Generation::Generation(std::shared_ptr<Context> context, std::vector<int32_t> prompt,
                       GenerateOptions options)
    : impl_(std::make_unique<Impl>(std::move(context), std::move(prompt), std::move(options))) {}
Generation::~Generation() = default;

void Generation::start() {
  if (!impl_->started) impl_->begin(false);
}
bool Generation::next(std::string* piece, const LogitsHook& hook) {
  return impl_->next(piece, hook);
}
const std::vector<int32_t>& Generation::tokens() const {
  return impl_->tokens;
}
const std::vector<StepLogprobs>& Generation::logprobs() const {
  return impl_->logprobs;
}
const GenerateStats& Generation::stats() const {
  return impl_->stats;
}

}  // namespace lm
