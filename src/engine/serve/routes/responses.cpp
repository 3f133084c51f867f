// OpenAI's responses: made, streamed, kept.
#include "engine/serve/responses.h"

#include <nlohmann/json.hpp>

#include "engine/serve/logprobs.h"
#include "engine/serve/route.h"
#include "engine/serve/store.h"

namespace lm::serve {
namespace {

Json usage_json(const ChatUsage& usage) {
  return {{"input_tokens", usage.prompt},
          {"input_tokens_details", {{"cached_tokens", usage.cached}}},
          {"output_tokens", usage.completion},
          {"output_tokens_details", {{"reasoning_tokens", 0}}},
          {"total_tokens", usage.prompt + usage.completion}};
}

class Response {
 public:
  explicit Response(Call& call)
      : call_(call),
        items_(input_items(call.body())),
        chat_(call, responses_request(call, items_)),
        response_(response_head(call, new_id("resp_"), chat_.plan().model.name)) {}

  void whole() {
    const auto answers = chat_.run(nullptr, nullptr);
    finish(answers, output_items(answers[0]));
    call_.answer(response_);
  }

  void stream() {
    send("response.created", {{"response", response_}});
    send("response.in_progress", {{"response", response_}});
    const auto answers = chat_.run([&](const ChatEvent& event) { send_event(event); }, nullptr);
    if (output_.empty() && open_.empty()) begin("message");
    end();
    // Items that break off where the answer does are incomplete.
    if (answers[0].finish_reason == "length" && !output_.empty() &&
        output_.back().contains("status"))
      output_.back()["status"] = "incomplete";
    finish(answers, output_);
    send(response_["status"] == "completed" ? "response.completed" : "response.incomplete",
         {{"response", response_}});
    call_.end_stream();
  }

 private:
  // Fills in the output and keeps the response before anybody hears of it.
  void finish(const std::vector<ChatAnswer>& answers, Json output) {
    const bool cut = answers[0].finish_reason == "length";
    response_["status"] = cut ? "incomplete" : "completed";
    if (cut) response_["incomplete_details"] = {{"reason", "max_output_tokens"}};
    if (chat_.plan().options.logprobs >= 0)
      for (Json& item : output)
        if (item["type"] == "message")
          item["content"][0]["logprobs"] =
              chat_logprobs(chat_.plan().model.tokenizer(), answers[0].raw.logprobs);
    response_["output"] = std::move(output);
    response_["usage"] = usage_json(usage_of(chat_, answers));
    if (boolean_or(call_.body(), "store", true))
      call_.core.store.put("response", response_["id"].get<std::string>(),
                           dump(Json{{"response", response_}, {"input", items_}}));
  }

  void send(const char* type, const Json& members) {
    Json event = {{"type", type}, {"sequence_number", sequence_++}};
    event.update(members);
    call_.event(dump(event), type);
  }
  Json place() const { return {{"item_id", item_["id"]}, {"output_index", output_.size()}}; }
  void send_part(const char* type, const Json& members) {
    Json event = place();
    if (open_ != "function_call") event["content_index"] = 0;
    event.update(members);
    send(type, event);
  }

  void begin(const std::string& type, const ChatEvent* event = nullptr) {
    end();
    open_ = type;
    text_.clear();
    if (type == "message") {
      item_ = {{"id", new_id("msg_")},
               {"type", "message"},
               {"status", "in_progress"},
               {"role", "assistant"},
               {"content", Json::array()}};
    } else if (type == "reasoning") {
      item_ = {{"id", new_id("rs_")},
               {"type", "reasoning"},
               {"summary", Json::array()},
               {"content", Json::array()}};
    } else {
      item_ = {{"id", new_id("fc_")},  {"type", "function_call"}, {"status", "in_progress"},
               {"call_id", event->id}, {"name", event->name},     {"arguments", ""}};
    }
    send("response.output_item.added", {{"output_index", output_.size()}, {"item", item_}});
    if (type != "function_call") send_part("response.content_part.added", {{"part", part()}});
  }

  Json part() const {
    if (open_ == "reasoning") return {{"type", "reasoning_text"}, {"text", text_}};
    return {{"type", "output_text"}, {"text", text_}, {"annotations", Json::array()}};
  }

  void end() {
    if (open_.empty()) return;
    if (open_ == "function_call") {
      send_part("response.function_call_arguments.done",
                {{"arguments", text_}, {"name", item_["name"]}});
      item_["arguments"] = text_;
    } else {
      const bool message = open_ == "message";
      Json done = {{"text", text_}};
      if (message) done["logprobs"] = Json::array();
      send_part(message ? "response.output_text.done" : "response.reasoning_text.done", done);
      send_part("response.content_part.done", {{"part", part()}});
      item_["content"] = Json::array({part()});
    }
    if (item_.contains("status")) item_["status"] = "completed";
    send("response.output_item.done", {{"output_index", output_.size()}, {"item", item_}});
    output_.push_back(item_);
    open_.clear();
  }

  void send_event(const ChatEvent& event) {
    using Kind = ChatEvent::Kind;
    if (event.kind == Kind::call_end) return end();
    if (event.kind == Kind::call) return begin("function_call", &event);
    if (event.text.empty()) return;
    const char* type = event.kind == Kind::content     ? "message"
                       : event.kind == Kind::reasoning ? "reasoning"
                                                       : "function_call";
    if (open_ != type) begin(type, &event);
    text_ += event.text;
    Json delta = {{"delta", event.text}};
    if (event.kind == Kind::content)
      delta["logprobs"] = chat_logprobs(chat_.plan().model.tokenizer(), event.logprobs);
    send_part(event.kind == Kind::content     ? "response.output_text.delta"
              : event.kind == Kind::reasoning ? "response.reasoning_text.delta"
                                              : "response.function_call_arguments.delta",
              delta);
  }

  Call& call_;
  const Json items_;
  Chat chat_;
  Json response_, output_ = Json::array(), item_;
  std::string open_, text_;  // the item that is being sent, and its text
  int64_t sequence_ = 0;
};

void create(Call& call) {
  Response response(call);
  if (boolean_or(call.body(), "stream", false))
    response.stream();
  else
    response.whole();
}

void count(Call& call) {
  const Chat chat(call, responses_request(call, input_items(call.body())));
  call.answer({{"object", "response.input_tokens"}, {"input_tokens", chat.n_prompt()}});
}

Json stored(Call& call) {
  const auto body = call.core.store.get("response", call.path_id);
  if (!body)
    throw ApiError(404, fmt::format("there is no response \"{}\"", call.path_id), "", "not_found");
  return Json::parse(*body);
}

void retrieve(Call& call) {
  call.answer(stored(call)["response"]);
}

void items(Call& call) {
  Json list = stored(call)["input"];
  for (Json& item : list)
    if (!item.contains("id")) item["id"] = new_id("msg_");
  call.answer({{"object", "list"},
               {"data", list},
               {"first_id", list.empty() ? Json(nullptr) : list.front()["id"]},
               {"last_id", list.empty() ? Json(nullptr) : list.back()["id"]},
               {"has_more", false}});
}

void erase(Call& call) {
  stored(call);
  call.core.store.erase("response", call.path_id);
  call.answer({{"id", call.path_id}, {"object", "response"}, {"deleted", true}});
}

// All are made while their client waits, so none can be cancelled by another.
void cancel(Call& call) {
  stored(call);
  throw ApiError(400, "only responses in the background can be cancelled, and there are none", "",
                 "invalid_value");
}

Route at(const char* method, const char* path, const char* summary, Fields fields,
         void (*handle)(Call&)) {
  return {method, path,  summary, Dialect::openai, Route::Access::key, std::move(fields),
          false,  handle};
}

}  // namespace

Route route_responses() {
  return at("POST", "/v1/responses", "Answers, with calls and thoughts as items",
            responses_fields(), create);
}
Route route_responses_count() {
  return at("POST", "/v1/responses/input_tokens", "Counts the tokens of a response's input",
            responses_fields(), count);
}
Route route_response() {
  return at("GET", "/v1/responses/{id}", "Returns a stored response", {}, retrieve);
}
Route route_response_items() {
  return at("GET", "/v1/responses/{id}/input_items", "Lists the input of a stored response", {},
            items);
}
Route route_response_delete() {
  return at("DELETE", "/v1/responses/{id}", "Forgets a stored response", {}, erase);
}
Route route_response_cancel() {
  return at("POST", "/v1/responses/{id}/cancel", "Cancels a response in the background", {},
            cancel);
}

}  // namespace lm::serve
