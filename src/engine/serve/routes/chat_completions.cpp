// OpenAI's chat completions: https://platform.openai.com/docs/api-reference/chat
#include <nlohmann/json.hpp>

#include "engine/serve/chat.h"
#include "engine/serve/generation_fields.h"
#include "engine/serve/logprobs.h"
#include "engine/serve/route.h"

namespace lm::serve {
namespace {

Fields fields() {
  Fields all = {
      required("messages", "array", "the conversation to answer"),
      works("model", "string", "name of a served model; absent: the first"),
      works("max_completion_tokens", "integer", "tokens of the answer at most", 0, 1e9),
      works("logprobs", "boolean", "return log-probabilities of the tokens"),
      works("top_logprobs", "integer", "and of this many alternatives, with logprobs", 0, 20),
      works("tools", "array",
            "functions the model may call; arguments always satisfy their schema"),
      works("tool_choice", "string|object",
            "none, auto, required, {type: function, function: {name}} or allowed_tools"),
      works("parallel_tool_calls", "boolean", "several calls in one answer; true"),
      works("add_generation_prompt", "boolean", "end the prompt with the beginning of an answer"),
      works("continue_final_message", "boolean", "go on with the last message"),
      works("chat_template", "string", "a template instead of the model's own"),
      works("chat_template_kwargs", "object", "variables of the template, e.g. enable_thinking"),
      works("documents", "array", "a variable of the template"),
      works("reasoning_effort", "string", "a variable of the template"),
      works("return_token_ids", "boolean", "add token_ids to choices and prompt_token_ids"),
      noted("verbosity", "string", "models here have one"),
      refused("audio", "there is no audio output", "null"),
      refused("modalities", "texts only", "[\"text\"]|[]"),
      refused("store", "chat completions are not kept", "false"),
      refused("functions", "use tools", "[]"),
      refused("function_call", "use tool_choice", "\"none\"|\"auto\""),
      refused("web_search_options", "nothing is searched", "{}"),
      refused("moderation", "use hooks", "false|{}"),
  };
  for (Field& field : generation_fields()) all.push_back(std::move(field));
  return all;
}

// Variables of the template that the body brings.
Json variables_of(const Json& body) {
  Json variables = Json::object();
  if (const Json* given = member(body, "chat_template_kwargs")) variables = *given;
  for (const char* name : {"documents", "reasoning_effort"})
    if (const Json* value = member(body, name)) variables[name] = *value;
  return variables;
}

ChatRequest request_of(Call& call) {
  const Json& body = call.body();
  ChatRequest request;
  request.model = call.served_model();
  request.options = generation_options(body, request.model);
  request.options.constraint = constraint_of(call, request.model);
  request.options.max_tokens = integer_or(body, "max_completion_tokens",
                                          integer_or(body, "max_tokens", request.model.context));
  request.messages = std::make_shared<Json>(*member(body, "messages"));
  if (const Json* tools = member(body, "tools"); tools && !tools->empty())
    request.tools = std::make_shared<Json>(*tools);
  read_tool_choice(body, request);
  request.variables = std::make_shared<Json>(variables_of(body));
  request.add_generation_prompt = boolean_or(body, "add_generation_prompt", true);
  request.continue_final_message = boolean_or(body, "continue_final_message", false);
  request.chat_template = text_or(body, "chat_template", "");
  request.n = integer_or(body, "n", 1);
  request.include_stop_text = boolean_or(body, "include_stop_str_in_output", false);
  const int64_t top = integer_or(body, "top_logprobs", 0);
  if (boolean_or(body, "logprobs", false))
    request.options.logprobs = top;
  else if (top > 0)
    throw ApiError(400, "top_logprobs needs logprobs: true", "top_logprobs", "invalid_value");
  return request;
}

Json tool_call(const ChatToolCall& call) {
  return {{"id", call.id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

class Completion {
 public:
  explicit Completion(Call& call)
      : call_(call),
        chat_(call, request_of(call)),
        id_(new_id("chatcmpl-")),
        created_(unix_time()),
        with_ids_(boolean_or(call.body(), "return_token_ids", false)),
        with_logprobs_(chat_.plan().options.logprobs >= 0) {}

  void whole() {
    const auto answers = chat_.run(nullptr, nullptr);
    Json choices = Json::array();
    for (size_t i = 0; i < answers.size(); ++i) choices.push_back(choice(i, answers[i]));
    Json all = head("chat.completion");
    if (with_ids_) all["prompt_token_ids"] = chat_.plan().prompts[0].ids;
    all["choices"] = std::move(choices);
    all["usage"] = openai_usage(usage_of(chat_, answers));
    call_.answer(all);
  }

  void stream() {
    const Json* options = member(call_.body(), "stream_options");
    usage_ = options && options->is_object() && boolean_or(*options, "include_usage", false);
    for (size_t i = 0; i < static_cast<size_t>(chat_.plan().n); ++i)
      send(i, {{"role", "assistant"}, {"content", ""}});
    const auto answers = chat_.run([&](const ChatEvent& event) { send_event(event); },
                                   [&](size_t i, const ChatAnswer& answer) {
                                     send(i, Json::object(), nullptr, answer.finish_reason);
                                   });
    if (usage_) {
      Json last = head("chat.completion.chunk");
      last["choices"] = Json::array();
      last["usage"] = openai_usage(usage_of(chat_, answers));
      call_.event(dump(last));
    }
    call_.event("[DONE]");
    call_.end_stream();
  }

 private:
  Json head(const char* object) const {
    return {{"id", id_},
            {"object", object},
            {"created", created_},
            {"model", chat_.plan().model.name},
            {"system_fingerprint", "lmfast-" LM_VERSION}};
  }

  Json choice(size_t i, const ChatAnswer& answer) const {
    Json message = {{"role", "assistant"}, {"content", answer.content}, {"refusal", nullptr}};
    if (answer.content.empty() && !answer.calls.empty()) message["content"] = nullptr;
    if (!answer.reasoning.empty()) message["reasoning_content"] = answer.reasoning;
    for (const ChatToolCall& call : answer.calls) message["tool_calls"].push_back(tool_call(call));
    Json out = {{"index", i},
                {"message", std::move(message)},
                {"logprobs", nullptr},
                {"finish_reason", answer.finish_reason}};
    if (with_logprobs_)
      out["logprobs"] = {
          {"content", chat_logprobs(chat_.plan().model.tokenizer(), answer.raw.logprobs)},
          {"refusal", nullptr}};
    if (with_ids_) out["token_ids"] = answer.raw.ids;
    return out;
  }

  void send_event(const ChatEvent& event) {
    using Kind = ChatEvent::Kind;
    Json delta = Json::object();
    switch (event.kind) {
      case Kind::content:
        delta["content"] = event.text;
        break;
      case Kind::reasoning:
        delta["reasoning_content"] = event.text;
        break;
      case Kind::call:
        delta["tool_calls"] =
            Json::array({{{"index", event.call},
                          {"id", event.id},
                          {"type", "function"},
                          {"function", {{"name", event.name}, {"arguments", ""}}}}});
        break;
      case Kind::arguments:
        delta["tool_calls"] =
            Json::array({{{"index", event.call}, {"function", {{"arguments", event.text}}}}});
        break;
      case Kind::call_end:
        if (event.logprobs.empty()) return;
        break;
    }
    if (with_ids_) delta["token_ids"] = std::vector<int32_t>(event.ids.begin(), event.ids.end());
    Json logprobs = nullptr;
    if (with_logprobs_)
      logprobs = {{"content", chat_logprobs(chat_.plan().model.tokenizer(), event.logprobs)}};
    send(event.index, std::move(delta), std::move(logprobs));
  }

  void send(size_t i, Json delta, Json logprobs = nullptr, const std::string& reason = {}) {
    Json chunk = head("chat.completion.chunk");
    chunk["choices"] =
        Json::array({{{"index", i},
                      {"delta", std::move(delta)},
                      {"logprobs", std::move(logprobs)},
                      {"finish_reason", reason.empty() ? Json(nullptr) : Json(reason)}}});
    if (usage_) chunk["usage"] = nullptr;
    call_.event(dump(chunk));
  }

  Call& call_;
  Chat chat_;
  const std::string id_;
  const int64_t created_;
  const bool with_ids_, with_logprobs_;
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

Route route_chat_completions() {
  return {"POST",
          "/v1/chat/completions",
          "Answers a conversation",
          Dialect::openai,
          Route::Access::key,
          fields(),
          false,
          handle};
}

}  // namespace lm::serve
