#include "engine/serve/chat.h"

#include <nlohmann/json.hpp>

namespace lm::serve {

Chat::Chat(Call& call, ChatRequest request) : call_(call), request_(std::move(request)) {
  ChatPromptOptions options;
  options.tools = request_.tools.get();
  options.add_generation_prompt = request_.add_generation_prompt;
  options.continue_final_message = request_.continue_final_message;
  options.variables = request_.variables.get();
  options.chat_template = request_.chat_template;
  plan_.model = request_.model;
  plan_.prompts = {chat_prompt(plan_.model, *request_.messages, options)};
  check_length(plan_.model, plan_.prompts[0].ids.size(), "messages");
  plan_.options = request_.options;
  plan_.n = request_.n;
  plan_.include_stop_text = request_.include_stop_text;
}

std::vector<ChatAnswer> Chat::run(const OnChatEvent& on_event, const OnChatEnd& on_end) {
  std::vector<ChatAnswer> answers(static_cast<size_t>(plan_.n));
  OnPart on_part;
  if (on_event)
    on_part = [&](const AnswerPart& part) {
      ChatEvent event;
      event.index = part.index;
      event.text = part.text;
      event.ids = part.ids;
      event.logprobs = part.logprobs;
      on_event(event);
    };
  run_answers(call_, plan_, on_part, [&](size_t i, const FinishedAnswer& answer) {
    answers[i].content = answer.text;
    answers[i].finish_reason = answer.stats.finish_reason;
    answers[i].raw = answer;
    if (on_end) on_end(i, answers[i]);
  });
  return answers;
}

ChatUsage usage_of(const Chat& chat, const std::vector<ChatAnswer>& answers) {
  ChatUsage usage;
  usage.prompt = static_cast<int64_t>(chat.n_prompt());
  for (const ChatAnswer& answer : answers)
    usage.completion += static_cast<int64_t>(answer.raw.ids.size());
  if (!answers.empty()) usage.cached = answers.front().raw.stats.reused_tokens;
  return usage;
}

Json openai_usage(const ChatUsage& usage) {
  return {{"prompt_tokens", usage.prompt},
          {"completion_tokens", usage.completion},
          {"total_tokens", usage.prompt + usage.completion},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached}}}};
}

}  // namespace lm::serve
