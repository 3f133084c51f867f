// Ollama's chat: lines of JSON, the last with the numbers.
#include <nlohmann/json.hpp>

#include "engine/serve/logprobs.h"
#include "engine/serve/ollama.h"
#include "engine/serve/route.h"

namespace lm::serve {
namespace {

ChatRequest request_of(Call& call) {
  ChatRequest request;
  request.model = call.served_model();
  read_ollama_options(call, request);
  request.messages = ollama_messages(*member(call.body(), "messages"));
  if (const Json* tools = member(call.body(), "tools"); tools && !tools->empty())
    request.tools = std::make_shared<Json>(*tools);
  return request;
}

Json call_json(const ChatToolCall& call) {
  Json arguments = Json::parse(call.arguments, nullptr, false);
  return {{"function",
           {{"name", call.name},
            {"arguments", arguments.is_object() ? std::move(arguments) : Json::object()}}}};
}

void handle(Call& call) {
  const auto start = std::chrono::steady_clock::now();
  const bool stream = boolean_or(call.body(), "stream", true);
  const auto head = [&](Json message) {
    return Json{{"model", call.model},
                {"created_at", iso_time(unix_time())},
                {"message", std::move(message)}};
  };
  if (member(call.body(), "messages")->empty()) {  // only loads the model
    call.served_model();
    Json all = head({{"role", "assistant"}, {"content", ""}});
    all.update({{"done", true}, {"done_reason", "load"}});
    return stream ? (call.line(all), call.end_stream()) : call.answer(all);
  }
  Chat chat(call, request_of(call));
  const Tokenizer& tokenizer = chat.plan().model.tokenizer();
  const bool logprobs = chat.plan().options.logprobs >= 0;
  std::map<size_t, ChatToolCall> calls;  // Ollama sends calls whole
  OnChatEvent on_event;
  if (stream)
    on_event = [&](const ChatEvent& event) {
      using Kind = ChatEvent::Kind;
      Json message = {{"role", "assistant"}, {"content", ""}};
      if (event.kind == Kind::content) message["content"] = event.text;
      if (event.kind == Kind::reasoning) message["thinking"] = event.text;
      if (event.kind == Kind::call) calls[event.call] = {event.id, event.name, ""};
      if (event.kind == Kind::arguments) calls[event.call].arguments += event.text;
      if (event.kind == Kind::call_end)
        message["tool_calls"] = Json::array({call_json(calls[event.call])});
      if (event.kind == Kind::call || event.kind == Kind::arguments) return;
      Json line = head(std::move(message));
      line["done"] = false;
      if (logprobs) line["logprobs"] = chat_logprobs(tokenizer, event.logprobs);
      call.line(line);
    };
  const auto answers = chat.run(on_event, nullptr);
  const ChatAnswer& answer = answers[0];
  Json message = {{"role", "assistant"}, {"content", stream ? "" : answer.content}};
  if (!stream) {
    if (!answer.reasoning.empty()) message["thinking"] = answer.reasoning;
    for (const ChatToolCall& one : answer.calls) message["tool_calls"].push_back(call_json(one));
  }
  Json all = head(std::move(message));
  if (!stream && logprobs) all["logprobs"] = chat_logprobs(tokenizer, answer.raw.logprobs);
  all.update(ollama_end(usage_of(chat, answers), answer, start));
  if (!stream) return call.answer(all);
  call.line(all);
  call.end_stream();
}

}  // namespace

Route route_ollama_chat() {
  Fields fields = ollama_fields();
  fields.push_back(required("messages", "array", "the conversation to answer"));
  fields.push_back(works("tools", "array", "functions the model may call"));
  return {"POST",
          "/api/chat",
          "Answers a conversation, as Ollama does",
          Dialect::ollama,
          Route::Access::key,
          std::move(fields),
          false,
          handle};
}

}  // namespace lm::serve
