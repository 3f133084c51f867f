#include <algorithm>
#include <chrono>
#include <deque>

#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/infer/answer.h"
#include "engine/infer/scheduler.h"
#include "engine/infer/speculate/depth.h"
#include "engine/models/model_spec.h"

namespace lm {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Steps that a generation may be ahead of its reader.
constexpr size_t kMostAhead = 64;

}  // namespace

// As a task it is in one of three states: in line (the scheduler evaluates `pending` and calls
// ready()), waiting for its reader to choose (hooks, guidance and draft models run on the reader's
// thread), or resting. ready() makes events; publish() hands them over under the scheduler's lock.
// With speculation `pending` ends in guesses, of which n_logits - 1 are checked.
struct Generation::Impl : Task {
  std::shared_ptr<Context> context;
  Scheduler& scheduler;
  std::vector<int32_t> prompt;
  const GenerateOptions options;
  Answer answer;
  std::unique_ptr<Drafter> drafter;  // or null
  SpeculationDepth depth;
  int confidence = 0;             // of the guess that is being checked
  double guess_seconds = 0;       // that making it took
  bool hooked = false;            // the reader chooses
  std::vector<float> own_logits;  // [1 + guesses, V], where the reader chooses
  std::vector<int32_t> kept;      // the first tokens, which no shift forgets
  size_t right = 0;               // tokens of the sequence without wrong guesses

  // Under the scheduler's lock.
  std::deque<AnswerEvent> events;
  bool readers_turn = false;  // own_logits are there
  bool all_published = false;
  int64_t draft_tokens = 0, accepted_tokens = 0;

  // The reader's side.
  bool started = false, finished = false;
  bool answered = false;      // next() took an event
  Clock::time_point began{};  // start()
  std::vector<int32_t> tokens;
  std::vector<StepLogprobs> logprobs;
  GenerateStats stats;

  Impl(std::shared_ptr<Context> c, std::vector<int32_t> p, GenerateOptions o)
      : Task(c->sequence()),
        context(std::move(c)),
        scheduler(Scheduler::of(*context->model())),
        prompt(std::move(p)),
        options(std::move(o)),
        answer(*context->model(), context->model()->spec().encoder ? 1 : prompt.size(), options),
        drafter(make_drafter(options.speculation, *context->model())),
        depth(options.speculation.max_draft_tokens) {
    LM_CHECK(options.overflow == "stop" || options.overflow == "shift", ErrorCode::bad_option,
             "overflow is \"{}\"; expected \"stop\" or \"shift\"", options.overflow);
    LM_CHECK(options.keep >= 0 && options.keep < context->n_ctx(), ErrorCode::bad_option,
             "keep is {}; expected 0..{}, below the context", options.keep, context->n_ctx() - 1);
    priority = options.priority;
    fair_key = options.fair_key;
    stats.seed = answer.seed();
    stats.prompt_tokens = static_cast<int64_t>(prompt.size());
  }
  ~Impl() override { scheduler.withdraw(*this); }

  // --- the scheduler's side

  std::vector<int32_t> ready(std::span<const float> given) override {
    return hooked ? std::vector<int32_t>{} : go_on(given, {});
  }

  bool publish() override {
    auto made = answer.take_events();
    readers_turn = hooked && made.empty();
    for (AnswerEvent& event : made) events.push_back(std::move(event));
    all_published = answer.ended();
    if (readers_turn) return true;
    draft_tokens = n_guessed;
    accepted_tokens = n_right;
    sequence.cut(right);
    if (!pending.empty()) make_room();
    return events.size() < kMostAhead;
  }

  // Takes the tokens that the logits [n_logits, V] of the last tokens give, as long as the guesses
  // were right. Returns what to evaluate next: tokens taken and not evaluated yet, and guesses.
  std::vector<int32_t> go_on(std::span<const float> rows, const LogitsHook& hook) {
    const auto n_guess = static_cast<size_t>(n_logits) - 1;
    const size_t vocab = rows.size() / (n_guess + 1), before = sequence.tokens.size() - n_guess;
    const auto text = std::span<const int32_t>(sequence.tokens);
    size_t accepted = 0;
    std::vector<int32_t> taken;
    do {
      taken =
          answer.choose(rows.subspan(accepted * vocab, vocab), text.first(before + accepted), hook);
      size_t same = 0;
      while (same < taken.size() && accepted < n_guess && taken[same] == text[before + accepted]) {
        ++same;
        ++accepted;
      }
      taken.erase(taken.begin(), taken.begin() + static_cast<std::ptrdiff_t>(same));
    } while (taken.empty() && !answer.ended());
    right = before + accepted;
    if (drafter) report(n_guess, accepted);
    if (answer.ended()) return {};
    if (options.overflow == "stop" && right + taken.size() > static_cast<size_t>(sequence.n_ctx)) {
      answer.end("length");
      return {};
    }
    n_logits = 1;
    if (drafter) add_guess(text.first(right), &taken);
    return taken;
  }

  void report(size_t n_guess, size_t accepted) {
    depth.report(confidence, static_cast<int64_t>(n_guess), static_cast<int64_t>(accepted),
                 step_seconds, guess_seconds);
    n_guessed += static_cast<int64_t>(n_guess);
    n_right += static_cast<int64_t>(accepted);
  }

  void add_guess(std::span<const int32_t> text, std::vector<int32_t>* taken) {
    const auto known = static_cast<int64_t>(text.size() + taken->size());
    // A guess must not change the rotations of the token before it.
    const int64_t room =
        std::min(sequence.n_ctx, context->model()->spec().fixed_rope_length()) - known;
    const int64_t most = std::min({options.speculation.max_draft_tokens, room,
                                   options.max_tokens - static_cast<int64_t>(answer.n_tokens())});
    if (most <= 0) return;
    std::vector<int32_t> all(text.begin(), text.end());
    all.insert(all.end(), taken->begin(), taken->end());
    const auto start = Clock::now();
    int64_t n = most;
    Guess guess;
    if (drafter->runs_model()) {
      guess.tokens.resize(static_cast<size_t>(most));
      n = depth.choose(guess);
      if (n > 0) guess = drafter->guess(all, n);
      n = std::min(n, static_cast<int64_t>(guess.tokens.size()));
    } else {
      guess = drafter->guess(all, most);
      n = depth.choose(guess);
    }
    guess_seconds = seconds_since(start);
    confidence = guess.confidence;
    taken->insert(taken->end(), guess.tokens.begin(), guess.tokens.begin() + n);
    n_logits = 1 + n;
  }
  int64_t n_guessed = 0, n_right = 0;

  // Shifts a full context, under the lock: the tokens kept and the newer half of the others.
  void make_room() {
    if (sequence.n_tokens() + static_cast<int64_t>(pending.size()) <= sequence.n_ctx) return;
    const auto half = (sequence.n_tokens() - options.keep) / 2;
    std::vector<int32_t> rest(sequence.tokens.end() - half, sequence.tokens.end());
    rest.insert(rest.end(), pending.begin(), pending.end());
    sequence.cut(static_cast<size_t>(options.keep));
    if (sequence.tokens.empty())  // of a recurrent model: all is evaluated anew
      rest.insert(rest.begin(), kept.begin(), kept.end());
    pending = std::move(rest);
  }

  // --- the reader's side

  void begin(bool with_hook) {
    started = true;
    began = Clock::now();
    hooked = with_hook || options.guidance.context || (drafter && drafter->runs_model());
    if (options.max_tokens == 0) {
      answer.end("length");
      scheduler.alone([&] {
        right = sequence.tokens.size();
        publish();
      });
      return;
    }
    const auto first = context->begin(prompt);
    const auto n_kept = std::min<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(options.keep),
                                                 static_cast<std::ptrdiff_t>(first.size()));
    kept.assign(first.begin(), first.begin() + n_kept);
    stats.reused_tokens = context->keep_common(first);
    pending.assign(first.begin() + stats.reused_tokens, first.end());
    if (hooked) {
      const int64_t rows = 1 + (drafter ? options.speculation.max_draft_tokens : 0);
      own_logits.resize(static_cast<size_t>(rows * context->model()->info().vocab_size));
      logits = own_logits.data();
    }
    scheduler.start(*this);
  }

  // Takes the next event; false: there is none and there will be none.
  bool take(AnswerEvent* event, const LogitsHook& hook) {
    for (;;) {
      bool ours = false, over = false, found = false;
      scheduler.locked([&] {
        ours = std::exchange(readers_turn, false);
        found = !events.empty();
        over = all_published;
        stats.draft_tokens = draft_tokens;
        stats.accepted_tokens = accepted_tokens;
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
    const auto rows = static_cast<size_t>(n_logits * context->model()->info().vocab_size);
    try {
      pending = go_on(std::span(own_logits).first(rows), hook);
    } catch (const std::exception&) {  // what a hook or a sampler throws ends it
      finished = true;
      stats.finish_reason = "error";
      throw;
    }
    scheduler.alone([&] { publish(); });  // it may cut or shift the text
  }

  bool next(std::string* piece, const LogitsHook& hook) {
    piece->clear();
    if (finished) return false;
    const bool first = !answered;
    const auto start = first && started ? began : Clock::now();
    AnswerEvent event;
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
    answered = true;
    if (first) stats.reused_tokens += n_reused;
    (first ? stats.prompt_seconds : stats.decode_seconds) += seconds_since(start);
    *piece = std::move(event.piece);
    if (event.finish_reason != nullptr) {
      finished = true;
      stats.finish_reason = event.finish_reason;
      stats.stop_text = std::move(event.stop_text);
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
bool Generation::ready() const {
  Impl& i = *impl_;
  if (!i.started || i.finished || i.scheduler.rests(i)) return true;
  return i.scheduler.locked([&] { return !i.events.empty() || i.readers_turn || i.all_published; });
}
void drive_scheduler(const Model& model, const std::atomic<bool>& stop) {
  Scheduler::of(model).drive(stop);
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
