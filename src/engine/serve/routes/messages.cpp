// Anthropic's messages and their streaming events.
#include <nlohmann/json.hpp>

#include "engine/serve/anthropic.h"
#include "engine/serve/route.h"

namespace lm::serve {
namespace {

// Arguments are JSON texts of ours; what broke off is shown as it is.
Json input_of(const std::string& arguments) {
  Json input = Json::parse(arguments, nullptr, false);
  return input.is_object() ? input : Json::object();
}

const char* stop_reason(const ChatAnswer& answer) {
  if (answer.finish_reason == "tool_calls") return "tool_use";
  if (answer.finish_reason == "length") return "max_tokens";
  return answer.raw.stats.stop_text.empty() ? "end_turn" : "stop_sequence";
}

Json stop_sequence(const ChatAnswer& answer) {
  const std::string& text = answer.raw.stats.stop_text;
  return text.empty() ? Json(nullptr) : Json(text);
}

Json usage_json(const ChatUsage& usage) {
  return {{"input_tokens", usage.prompt - usage.cached},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.cached},
          {"output_tokens", usage.completion}};
}

class Message {
 public:
  explicit Message(Call& call)
      : call_(call), chat_(call, anthropic_request(call)), id_(new_id("msg_")) {}

  void whole() {
    const auto answers = chat_.run(nullptr, nullptr);
    const ChatAnswer& answer = answers[0];
    Json content = Json::array();
    if (!answer.reasoning.empty())
      content.push_back({{"type", "thinking"}, {"thinking", answer.reasoning}, {"signature", ""}});
    if (!answer.content.empty() || answer.calls.empty())
      content.push_back({{"type", "text"}, {"text", answer.content}});
    for (const ChatToolCall& tool : answer.calls)
      content.push_back({{"type", "tool_use"},
                         {"id", tool.id},
                         {"name", tool.name},
                         {"input", input_of(tool.arguments)}});
    Json all = head();
    all["content"] = std::move(content);
    all["stop_reason"] = stop_reason(answer);
    all["stop_sequence"] = stop_sequence(answer);
    all["usage"] = usage_json(usage_of(chat_, answers));
    call_.answer(all);
  }

  void stream() {
    Json start = head();
    start["content"] = Json::array();
    start["stop_reason"] = nullptr;
    start["stop_sequence"] = nullptr;
    ChatUsage asked;
    asked.prompt = static_cast<int64_t>(chat_.n_prompt());
    start["usage"] = usage_json(asked);
    send("message_start", {{"message", start}});
    send("ping", Json::object());
    const auto answers = chat_.run([&](const ChatEvent& event) { send_event(event); }, nullptr);
    if (blocks_ == 0) begin_block("text", {{"type", "text"}, {"text", ""}});
    end_block();
    send(
        "message_delta",
        {{"delta",
          {{"stop_reason", stop_reason(answers[0])}, {"stop_sequence", stop_sequence(answers[0])}}},
         {"usage", usage_json(usage_of(chat_, answers))}});
    send("message_stop", Json::object());
    call_.end_stream();
  }

 private:
  Json head() const {
    return {{"id", id_},
            {"type", "message"},
            {"role", "assistant"},
            {"model", chat_.plan().model.name}};
  }

  void send(const char* type, const Json& members) {
    Json event = {{"type", type}};
    event.update(members);
    call_.event(dump(event), type);
  }

  void begin_block(const char* kind, Json block) {
    if (open_ == kind && open_ != "tool_use") return;
    end_block();
    open_ = kind;
    send("content_block_start", {{"index", blocks_}, {"content_block", std::move(block)}});
  }
  void end_block() {
    if (open_.empty()) return;
    send("content_block_stop", {{"index", blocks_}});
    open_.clear();
    ++blocks_;
  }
  void delta(Json change) {
    send("content_block_delta", {{"index", blocks_}, {"delta", std::move(change)}});
  }

  void send_event(const ChatEvent& event) {
    using Kind = ChatEvent::Kind;
    switch (event.kind) {
      case Kind::content:
        if (event.text.empty()) return;
        begin_block("text", {{"type", "text"}, {"text", ""}});
        return delta({{"type", "text_delta"}, {"text", event.text}});
      case Kind::reasoning:
        begin_block("thinking", {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
        return delta({{"type", "thinking_delta"}, {"thinking", event.text}});
      case Kind::call:
        return begin_block("tool_use", {{"type", "tool_use"},
                                        {"id", event.id},
                                        {"name", event.name},
                                        {"input", Json::object()}});
      case Kind::arguments:
        return delta({{"type", "input_json_delta"}, {"partial_json", event.text}});
      case Kind::call_end:
        return end_block();
    }
  }

  Call& call_;
  Chat chat_;
  const std::string id_;
  std::string open_;  // kind of the block that is being sent
  int64_t blocks_ = 0;
};

void handle(Call& call) {
  Message message(call);
  if (boolean_or(call.body(), "stream", false))
    message.stream();
  else
    message.whole();
}

void count(Call& call) {
  const Chat chat(call, anthropic_request(call));
  call.answer({{"input_tokens", chat.n_prompt()}});
}

}  // namespace

Route route_messages() {
  return {"POST",
          "/v1/messages",
          "Answers a conversation, as Anthropic does",
          Dialect::anthropic,
          Route::Access::key,
          anthropic_fields(false),
          false,
          handle};
}

Route route_count_tokens() {
  return {"POST",
          "/v1/messages/count_tokens",
          "Counts the tokens of a conversation, as Anthropic does",
          Dialect::anthropic,
          Route::Access::key,
          anthropic_fields(true),
          false,
          count};
}

}  // namespace lm::serve
