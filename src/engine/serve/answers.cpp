#include "engine/serve/answers.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/core/error.h"
#include "engine/core/interrupt.h"

namespace lm::serve {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kManyStreams = 3;
constexpr auto kGlance = std::chrono::milliseconds(4);

double seconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// Counts a request that runs, however it ends.
class RunningCount {
 public:
  explicit RunningCount(std::atomic<int64_t>& n) : n_(n) { ++n_; }
  ~RunningCount() { --n_; }
  RunningCount(const RunningCount&) = delete;
  RunningCount& operator=(const RunningCount&) = delete;

 private:
  std::atomic<int64_t>& n_;
};

// What a hook says about a text: nothing, another text, or that it ends here.
struct HookAnswer {
  bool stop = false;
};
HookAnswer ask(const std::function<std::string(const std::string&)>& hook, Json question,
               std::string* text) {
  const std::string said = hook(dump(question));
  if (said.empty()) return {};
  const Json reply = Json::parse(said);
  if (const Json* other = member(reply, "text")) *text = other->get<std::string>();
  return {boolean_or(reply, "stop", false)};
}

class Runner {
 public:
  Runner(Call& call, const AnswerPlan& plan, const OnPart& on_part, const OnEnd& on_end)
      : call_(call),
        plan_(plan),
        on_part_(on_part),
        on_end_(on_end),
        hooks_(call.core.hooks()),
        metrics_(call.core.metrics.of(plan.model.name)) {}

  std::vector<FinishedAnswer> run() {
    const RunningCount count(metrics_.running);
    start_ = Clock::now();
    begin();
    try {
      for (size_t left = tracks_.size(); left > 0;)
        for (size_t i = 0; i < tracks_.size(); ++i)
          if (!tracks_[i].ended && !step(i)) --left;
    } catch (const std::exception&) {
      ++metrics_.ended_abort;
      count_tokens();
      throw;
    }
    count_tokens();
    metrics_.e2e.add(seconds(start_, Clock::now()));
    std::vector<FinishedAnswer> answers;
    for (Track& track : tracks_) answers.push_back(std::move(track.answer));
    return answers;
  }

 private:
  struct Track {
    const Prompt* prompt = nullptr;
    std::shared_ptr<Context> context;
    std::unique_ptr<Generation> generation;
    FinishedAnswer answer;
    size_t handed_on = 0;  // tokens that were in a part
    Clock::time_point last;
    bool ended = false;
  };

  void begin() {
    for (const Prompt& prompt : plan_.prompts) {
      for (int64_t i = 0; i < plan_.n; ++i) add(prompt, i);
      call_.prompt_tokens += static_cast<int64_t>(prompt.ids.size());
    }
    plan_.model.loaded->start_driver();
    for (Track& track : tracks_) track.generation->start();
  }

  void add(const Prompt& prompt, int64_t i) {
    Track& track = tracks_.emplace_back();
    track.prompt = &prompt;
    track.context = std::make_shared<Context>(plan_.model.loaded->model, plan_.model.context);
    track.context->choose_adapters(plan_.model.adapters);
    if (!prompt.image_rows.empty()) track.context->set_image_rows(prompt.image_rows);
    GenerateOptions options = plan_.options;
    options.max_tokens =
        std::min(options.max_tokens, plan_.model.context - static_cast<int64_t>(prompt.ids.size()));
    if (options.sampling.seed >= 0) options.sampling.seed += i;
    if (options.fair_key.empty()) options.fair_key = call_.who;
    track.generation = std::make_unique<Generation>(track.context, prompt.ids, std::move(options));
  }

  // Takes the next token of an answer; false: it has ended.
  bool step(size_t i) {
    Track& track = tracks_[i];
    if (call_.http.cancelled()) throw Error(ErrorCode::interrupted, "the client has gone");
    wait_with_others(*track.generation);
    std::string piece;
    const bool more = track.generation->next(&piece);
    const auto now = Clock::now();
    const bool first = track.answer.ids.empty();
    const size_t n = track.generation->tokens().size();
    if (more && n > track.answer.ids.size()) {
      track.answer.ids.push_back(track.generation->tokens().back());
      ++call_.completion_tokens;
      if (first && i == 0) metrics_.time_to_first_token.add(seconds(start_, now));
      if (!first) metrics_.inter_token.add(seconds(track.last, now));
      track.last = now;
    }
    const GenerateStats& stats = track.generation->stats();
    const bool over = !more || !stats.finish_reason.empty();
    if (over && plan_.include_stop_text) piece += stats.stop_text;
    const bool stop = hand_on(i, std::move(piece));
    if (stop) track.answer.stats.finish_reason = "stop";
    if (over || stop) end(i, stop);
    return !track.ended;
  }

  // Beside other streams tokens are looked for instead of waited for: threads that every step wakes
  // take the cores from the next one (8 streams of a small model: half of the tokens/s).
  void wait_with_others(const Generation& generation) const {
    while (metrics_.running >= kManyStreams && !generation.ready()) {
      if (call_.http.cancelled()) throw Error(ErrorCode::interrupted, "the client has gone");
      std::this_thread::sleep_for(kGlance);
    }
  }

  // Passes text on as soon as there is some, tokens with it; where log-probabilities are asked for,
  // each token.
  bool hand_on(size_t i, std::string piece) {
    Track& track = tracks_[i];
    bool stop = false;
    if (!piece.empty() && hooks_->on_token)
      stop = ask(hooks_->on_token,
                 {{"id", call_.id}, {"model", plan_.model.name}, {"index", i}, {"text", piece}},
                 &piece)
                 .stop;
    track.answer.text += piece;
    const bool tokens = plan_.options.logprobs >= 0 && track.answer.ids.size() > track.handed_on;
    if (!on_part_ || (piece.empty() && !tokens)) return stop;
    const auto& logprobs = track.generation->logprobs();
    AnswerPart part;
    part.index = i;
    part.text = std::move(piece);
    part.ids = std::span(track.answer.ids).subspan(track.handed_on);
    if (plan_.options.logprobs >= 0)
      part.logprobs = std::span(logprobs).subspan(track.handed_on, part.ids.size());
    track.handed_on = track.answer.ids.size();
    on_part_(part);
    return stop;
  }

  void end(size_t i, bool stopped) {
    Track& track = tracks_[i];
    track.ended = true;
    track.answer.stats = track.generation->stats();
    if (stopped) track.answer.stats.finish_reason = "stop";
    track.answer.logprobs = track.generation->logprobs();
    track.generation.reset();  // takes it out of the batch at once
    const GenerateStats& stats = track.answer.stats;
    ++(stats.finish_reason == "length" ? metrics_.ended_length : metrics_.ended_stop);
    metrics_.prefill.add(stats.prompt_seconds);
    metrics_.decode.add(stats.decode_seconds);
    metrics_.prompt_ns += static_cast<int64_t>(stats.prompt_seconds * 1e9);
    metrics_.decode_ns += static_cast<int64_t>(stats.decode_seconds * 1e9);
    metrics_.draft_tokens += stats.draft_tokens;
    metrics_.accepted_tokens += stats.accepted_tokens;
    if (i % static_cast<size_t>(plan_.n) == 0) metrics_.cached_tokens += stats.reused_tokens;
    if (hooks_->on_response) {
      Json question = {{"id", call_.id},
                       {"route", call_.route.path},
                       {"model", plan_.model.name},
                       {"index", i},
                       {"text", track.answer.text},
                       {"finish_reason", stats.finish_reason},
                       {"usage",
                        {{"prompt_tokens", track.prompt->ids.size()},
                         {"completion_tokens", track.answer.ids.size()}}}};
      ask(hooks_->on_response, std::move(question), &track.answer.text);
    }
    if (on_end_) on_end_(i, track.answer);
  }

  void count_tokens() {
    metrics_.prompt_tokens += call_.prompt_tokens;
    metrics_.generation_tokens += call_.completion_tokens;
  }

  Call& call_;
  const AnswerPlan& plan_;
  const OnPart& on_part_;
  const OnEnd& on_end_;
  const std::shared_ptr<const ServeHooks> hooks_;
  ModelMetrics& metrics_;
  std::vector<Track> tracks_;
  Clock::time_point start_;
};

}  // namespace

std::vector<FinishedAnswer> run_answers(Call& call, const AnswerPlan& plan, const OnPart& on_part,
                                        const OnEnd& on_end) {
  return Runner(call, plan, on_part, on_end).run();
}

Json usage_of(const AnswerPlan& plan, const std::vector<FinishedAnswer>& answers) {
  int64_t asked = 0, made = 0, cached = 0;
  for (const Prompt& prompt : plan.prompts) asked += static_cast<int64_t>(prompt.ids.size());
  for (const FinishedAnswer& answer : answers) made += static_cast<int64_t>(answer.ids.size());
  for (size_t i = 0; i < answers.size(); i += static_cast<size_t>(plan.n))
    cached += answers[i].stats.reused_tokens;
  return {{"prompt_tokens", asked},
          {"completion_tokens", made},
          {"total_tokens", asked + made},
          {"prompt_tokens_details", {{"cached_tokens", cached}}}};
}

}  // namespace lm::serve
