// Ollama's generate: one prompt, with the chat template around it unless it is raw.
#include <nlohmann/json.hpp>

#include "engine/serve/fill_in.h"
#include "engine/serve/logprobs.h"
#include "engine/serve/ollama.h"
#include "engine/serve/route.h"

namespace lm::serve {
namespace {

// The prompt as a conversation.
std::shared_ptr<Json> messages_of(const Json& body) {
  Json user = {{"role", "user"}, {"content", text_or(body, "prompt", "")}};
  if (const Json* images = member(body, "images")) user["images"] = *images;
  Json all = Json::array();
  const std::string system = text_or(body, "system", "");
  if (!system.empty()) all.push_back({{"role", "system"}, {"content", system}});
  all.push_back(std::move(user));
  return ollama_messages(all);
}

Prompt prompt_of(Call& call, ChatRequest& request) {
  const Json& body = call.body();
  const std::string text = text_or(body, "prompt", ""), suffix = text_or(body, "suffix", "");
  const Tokenizer& tokenizer = request.model.tokenizer();
  Prompt prompt;
  if (!suffix.empty()) {
    prompt.ids = fill_in_prompt(tokenizer, text, suffix);
    if (prompt.ids.empty())
      throw ApiError(
          400, fmt::format("the model \"{}\" does not support insert (suffix)", request.model.name),
          "suffix");
  } else if (boolean_or(body, "raw", false) || !request.model.model().chat_template()) {
    prompt.ids = tokenizer.encode(text, {true, true});
  } else {
    ChatPromptOptions options;
    options.variables = request.variables.get();
    prompt = chat_prompt(request.model, *messages_of(body), options);
  }
  if (const Json* context = member(body, "context")) {
    auto before = ids_of(*context, "context", request.model.model().info().vocab_size);
    prompt.ids.insert(prompt.ids.begin(), before.begin(), before.end());
  }
  check_length(request.model, prompt.ids.size(), "prompt");
  return prompt;
}

void handle(Call& call) {
  const auto start = std::chrono::steady_clock::now();
  const Json& body = call.body();
  const bool stream = boolean_or(body, "stream", true);
  ChatRequest request;
  request.model = call.served_model();
  const auto head = [&](const std::string& text) {
    return Json{{"model", call.model}, {"created_at", iso_time(unix_time())}, {"response", text}};
  };
  if (text_or(body, "prompt", "").empty()) {  // only loads the model
    Json all = head("");
    all.update({{"done", true}, {"done_reason", "load"}});
    return stream ? (call.line(all), call.end_stream()) : call.answer(all);
  }
  read_ollama_options(call, request);
  AnswerPlan plan;
  plan.prompts = {prompt_of(call, request)};
  plan.model = request.model;
  plan.options = request.options;
  const bool logprobs = plan.options.logprobs >= 0;
  OnPart on_part;
  if (stream)
    on_part = [&](const AnswerPart& part) {
      Json line = head(part.text);
      line["done"] = false;
      if (logprobs) line["logprobs"] = chat_logprobs(plan.model.tokenizer(), part.logprobs);
      call.line(line);
    };
  const auto answers = run_answers(call, plan, on_part, nullptr);
  ChatAnswer answer;
  answer.raw = answers[0];
  answer.finish_reason = answers[0].stats.finish_reason;
  Json all = head(stream ? "" : answers[0].text);
  const ChatUsage usage{static_cast<int64_t>(plan.prompts[0].ids.size()),
                        static_cast<int64_t>(answers[0].ids.size()),
                        answers[0].stats.reused_tokens};
  all.update(ollama_end(usage, answer, start));
  Json context = plan.prompts[0].ids;  // to go on from
  for (const int32_t id : answers[0].ids) context.push_back(id);
  all["context"] = std::move(context);
  if (!stream && logprobs)
    all["logprobs"] = chat_logprobs(plan.model.tokenizer(), answers[0].logprobs);
  if (!stream) return call.answer(all);
  call.line(all);
  call.end_stream();
}

}  // namespace

Route route_ollama_generate() {
  Fields fields = ollama_fields();
  const Fields more = {
      works("prompt", "string", "what to answer or continue"),
      works("suffix", "string", "what follows the answer, for models with fill-in-the-middle"),
      works("system", "string", "instructions"),
      works("raw", "boolean", "no chat template around the prompt"),
      works("images", "array", "pictures in base64, for models that see"),
      works("context", "array", "the context of an earlier answer, to go on from"),
      refused("template", "the model's own is used", "\"\""),
  };
  fields.insert(fields.end(), more.begin(), more.end());
  return {"POST",
          "/api/generate",
          "Answers or continues a prompt, as Ollama does",
          Dialect::ollama,
          Route::Access::key,
          std::move(fields),
          false,
          handle};
}

}  // namespace lm::serve
