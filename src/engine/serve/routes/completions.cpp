// OpenAI's completions: https://platform.openai.com/docs/api-reference/completions
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/serve/answers.h"
#include "engine/serve/fill_in.h"
#include "engine/serve/generation_fields.h"
#include "engine/serve/logprobs.h"
#include "engine/serve/route.h"

namespace lm::serve {
namespace {

constexpr int64_t kDefaultTokens = 16;  // OpenAI's

Fields fields() {
  Fields all = {
      works("prompt", "string|array", "a text, token ids, or a list of either"),
      works("model", "string", "name of a served model; absent: the first"),
      works("suffix", "string", "what follows the answer, for models with fill-in-the-middle"),
      works("echo", "boolean", "let the answer begin with the prompt"),
      works("best_of", "integer", "make this many answers and return the n most likely", 1, 128),
      works("logprobs", "integer", "log-probabilities of tokens and of this many alternatives", 0,
            20),
      works("return_token_ids", "boolean", "add token_ids to choices"),
  };
  for (Field& field : generation_fields()) all.push_back(std::move(field));
  return all;
}

std::vector<int32_t> text_ids(const ServedModel& model, const std::string& text) {
  const Tokenizer& tokenizer = model.tokenizer();
  auto ids = tokenizer.encode(text, {true, true});
  if (ids.empty())  // the token that begins texts stands for an empty one
    ids = {tokenizer.bos() >= 0      ? tokenizer.bos()
           : tokenizer.eos().empty() ? 0
                                     : tokenizer.eos()[0]};
  return ids;
}

std::vector<Prompt> prompts_of(const Json& body, const ServedModel& model) {
  const Json* given = member(body, "prompt");
  const Json prompt = given ? *given : Json("");
  const int64_t vocab = model.model().info().vocab_size;
  std::vector<Prompt> all;
  const auto add_text = [&](const Json& text) {
    all.push_back({text_ids(model, text.get<std::string>()), {}, text.get<std::string>()});
  };
  const auto add_ids = [&](const Json& list) {
    auto ids = ids_of(list, "prompt", vocab);
    if (ids.empty()) throw ApiError(400, "prompt: a list of no tokens", "prompt", "invalid_value");
    const std::string text = model.tokenizer().decode(ids);
    all.push_back({std::move(ids), {}, text});
  };
  if (prompt.is_string())
    add_text(prompt);
  else if (!prompt.empty() && prompt.front().is_number())
    add_ids(prompt);
  else
    for (const Json& item : prompt) item.is_string() ? add_text(item) : add_ids(item);
  if (all.empty()) throw ApiError(400, "prompt: an empty list", "prompt", "invalid_value");
  if (const Json* suffix = member(body, "suffix"); suffix && !suffix->get<std::string>().empty())
    for (Prompt& one : all) {
      one.ids = fill_in_prompt(model.tokenizer(), one.text, suffix->get<std::string>());
      if (one.ids.empty())
        throw ApiError(400,
                       fmt::format("suffix: the model \"{}\" has no tokens for fill-in-the-middle",
                                   model.name),
                       "suffix", "unsupported_parameter");
    }
  for (const Prompt& one : all) check_length(model, one.ids.size(), "prompt");
  return all;
}

class Completion {
 public:
  explicit Completion(Call& call)
      : call_(call),
        id_(new_id("cmpl-")),
        created_(unix_time()),
        echo_(boolean_or(call.body(), "echo", false)),
        with_ids_(boolean_or(call.body(), "return_token_ids", false)),
        n_(integer_or(call.body(), "n", 1)),
        top_(integer_or(call.body(), "logprobs", -1)) {
    const Json& body = call.body();
    plan_.model = call.served_model();
    plan_.options = generation_options(body, plan_.model);
    plan_.options.constraint = constraint_of(call, plan_.model);
    plan_.options.max_tokens = integer_or(body, "max_tokens", kDefaultTokens);
    plan_.options.logprobs = top_;
    plan_.include_stop_text = boolean_or(body, "include_stop_str_in_output", false);
    plan_.prompts = prompts_of(body, plan_.model);
    plan_.n = std::max(n_, integer_or(body, "best_of", n_));
    const int64_t best_of = integer_or(body, "best_of", n_);
    if (best_of < n_)
      throw ApiError(400, fmt::format("best_of is {}; expected n, {}, or more", best_of, n_),
                     "best_of", "invalid_value");
    if (best_of > n_) plan_.options.logprobs = std::max<int64_t>(top_, 0);
  }

  bool ranks() const { return plan_.n > n_; }

  void whole() {
    auto answers = run_answers(call_, plan_, nullptr, nullptr);
    const Json usage = usage_of(plan_, answers);
    Json choices = Json::array();
    for (size_t p = 0; p < plan_.prompts.size(); ++p) {
      const auto scored = score(plan_.prompts[p]);
      for (const size_t i : best(answers, p))
        choices.push_back(choice(choices.size(), plan_.prompts[p], scored, answers[i]));
    }
    Json all = head();
    all["choices"] = std::move(choices);
    all["usage"] = usage;
    call_.answer(all);
  }

  void stream() {
    if (ranks())
      throw ApiError(400, "best_of: answers that are compared cannot be streamed", "best_of",
                     "invalid_value");
    const Json* options = member(call_.body(), "stream_options");
    usage_ = options && options->is_object() && boolean_or(*options, "include_usage", false);
    std::vector<LegacyLogprobs> logprobs;
    for (size_t i = 0; i < plan_.prompts.size() * static_cast<size_t>(n_); ++i) {
      const Prompt& prompt = plan_.prompts[i / static_cast<size_t>(n_)];
      logprobs.emplace_back(plan_.model.tokenizer(), top_);
      if (!echo_) continue;
      send(i, prompt.text, echoed(prompt, score(prompt), &logprobs.back()), nullptr);
    }
    const auto answers = run_answers(
        call_, plan_,
        [&](const AnswerPart& part) {
          for (const StepLogprobs& step : part.logprobs) logprobs[part.index].add(step);
          send(part.index, part.text, top_ >= 0 ? logprobs[part.index].take() : Json(nullptr),
               nullptr);
        },
        [&](size_t i, const FinishedAnswer& answer) {
          send(i, "", nullptr, answer.stats.finish_reason.c_str());
        });
    if (usage_) {
      Json last = head();
      last["choices"] = Json::array();
      last["usage"] = usage_of(plan_, answers);
      call_.event(dump(last));
    }
    call_.event("[DONE]");
    call_.end_stream();
  }

 private:
  Json head() const {
    return {{"id", id_},
            {"object", "text_completion"},
            {"created", created_},
            {"model", plan_.model.name},
            {"system_fingerprint", "lmfast-" LM_VERSION}};
  }

  // What the model thinks of the prompt's own tokens, for echo with logprobs.
  std::vector<StepLogprobs> score(const Prompt& prompt) {
    if (!echo_ || top_ < 0 || prompt.ids.size() < 2) return {};
    Context context(plan_.model.loaded->model, plan_.model.context);
    context.choose_adapters(plan_.model.adapters);
    return score_tokens(context, prompt.ids, 1, top_);
  }

  Json echoed(const Prompt& prompt, const std::vector<StepLogprobs>& scored,
              LegacyLogprobs* logprobs) const {
    if (top_ < 0) return nullptr;
    logprobs->add_first(prompt.ids.front());
    for (const StepLogprobs& step : scored) logprobs->add(step);
    return logprobs->take();
  }

  // The answers to a prompt that are returned, best first where more were made: by the mean
  // log-probability of their tokens, which does not favour short ones.
  std::vector<size_t> best(const std::vector<FinishedAnswer>& answers, size_t prompt) const {
    const auto n = static_cast<size_t>(plan_.n);
    std::vector<size_t> order(n);
    for (size_t i = 0; i < n; ++i) order[i] = prompt * n + i;
    if (!ranks()) return order;
    const auto mean = [&](size_t i) {
      double sum = 0;
      for (const StepLogprobs& step : answers[i].logprobs) sum += step.chosen.logprob;
      return sum / static_cast<double>(std::max<size_t>(answers[i].logprobs.size(), 1));
    };
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return mean(a) > mean(b); });
    order.resize(static_cast<size_t>(n_));
    return order;
  }

  Json choice(size_t i, const Prompt& prompt, const std::vector<StepLogprobs>& scored,
              const FinishedAnswer& answer) const {
    Json logprobs = nullptr;
    if (top_ >= 0) {
      LegacyLogprobs all(plan_.model.tokenizer(), top_);
      if (echo_) {
        all.add_first(prompt.ids.front());
        for (const StepLogprobs& step : scored) all.add(step);
      }
      for (const StepLogprobs& step : answer.logprobs) all.add(step);
      logprobs = all.take();
    }
    Json out = {{"text", (echo_ ? prompt.text : "") + answer.text},
                {"index", i},
                {"logprobs", std::move(logprobs)},
                {"finish_reason", answer.stats.finish_reason}};
    if (with_ids_) {
      out["token_ids"] = answer.ids;
      out["prompt_token_ids"] = prompt.ids;
    }
    return out;
  }

  void send(size_t i, const std::string& text, Json logprobs, const char* reason) {
    Json chunk = head();
    chunk["choices"] = Json::array({{{"text", text},
                                     {"index", i},
                                     {"logprobs", std::move(logprobs)},
                                     {"finish_reason", reason ? Json(reason) : Json(nullptr)}}});
    if (usage_) chunk["usage"] = nullptr;
    call_.event(dump(chunk));
  }

  Call& call_;
  AnswerPlan plan_;
  const std::string id_;
  const int64_t created_;
  const bool echo_, with_ids_;
  const int64_t n_, top_;
  bool usage_ = false;
};

void handle(Call& call) {
  Completion completion(call);
  if (boolean_or(call.body(), "stream", false))
    completion.stream();
  else
    completion.whole();
}

}  // namespace

Route route_completions() {
  return {"POST",
          "/v1/completions",
          "Continues texts",
          Dialect::openai,
          Route::Access::key,
          fields(),
          false,
          handle};
}

}  // namespace lm::serve
