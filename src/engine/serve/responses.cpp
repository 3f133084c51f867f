#include "engine/serve/responses.h"

#include <nlohmann/json.hpp>

#include "engine/serve/generation_fields.h"
#include "engine/serve/store.h"

namespace lm::serve {
namespace {

constexpr int kMostBefore = 1000;  // responses in a row

ApiError wrong(const std::string& what, const char* param = "input") {
  return ApiError(400, what, param, "invalid_value");
}

Json part_of(const Json& part) {
  const std::string type = part.is_object() ? text_or(part, "type", "") : "";
  if (type == "input_text" || type == "output_text" || type == "text")
    return {{"type", "text"}, {"text", text_or(part, "text", "")}};
  if (type == "refusal") return {{"type", "text"}, {"text", text_or(part, "refusal", "")}};
  if (type == "input_image")
    return {{"type", "image_url"}, {"image_url", {{"url", text_or(part, "image_url", "")}}}};
  throw wrong(fmt::format("input: a content part of type \"{}\" is not known here", type));
}

std::string output_text(const Json& output) {
  if (output.is_string()) return output.get<std::string>();
  std::string text;
  if (output.is_array())
    for (const Json& part : output) text += text_or(part_of(part), "text", "");
  return text;
}

// An item is one of OpenAI's chat messages, or a part of the assistant's last one: thoughts and
// calls stand beside each other here, together there.
class Conversation {
 public:
  void add(const Json& item) {
    if (!item.is_object()) throw wrong("input: each item must be an object");
    const std::string type = text_or(item, "type", "message");
    if (type == "message") {
      add_message(item);
    } else if (type == "function_call") {
      assistant()["tool_calls"].push_back(
          {{"id", text_or(item, "call_id", text_or(item, "id", ""))},
           {"type", "function"},
           {"function",
            {{"name", text_or(item, "name", "")}, {"arguments", text_or(item, "arguments", "")}}}});
    } else if (type == "function_call_output") {
      const Json* output = member(item, "output");
      messages_.push_back({{"role", "tool"},
                           {"tool_call_id", text_or(item, "call_id", "")},
                           {"content", output ? output_text(*output) : ""}});
    } else if (type == "reasoning") {
      const Json* content = member(item, "content");
      std::string text;
      if (content && content->is_array())
        for (const Json& part : *content) text += text_or(part, "text", "");
      if (!text.empty()) thoughts_ = text;
    } else {
      throw wrong(fmt::format("input: an item of type \"{}\" is not known here", type));
    }
  }
  Json take() { return std::move(messages_); }

 private:
  void add_message(const Json& item) {
    const Json* content = member(item, "content");
    Json parts = content ? *content : Json("");
    if (parts.is_array())
      for (Json& part : parts) part = part_of(part);
    Json message = {{"role", text_or(item, "role", "")}, {"content", std::move(parts)}};
    if (message["role"] == "assistant" && !thoughts_.empty())
      message["reasoning_content"] = std::exchange(thoughts_, {});
    messages_.push_back(std::move(message));
  }
  Json& assistant() {
    if (messages_.empty() || messages_.back()["role"] != "assistant")
      messages_.push_back({{"role", "assistant"}, {"content", ""}});
    Json& last = messages_.back();
    if (!thoughts_.empty()) last["reasoning_content"] = std::exchange(thoughts_, {});
    if (!last.contains("tool_calls")) last["tool_calls"] = Json::array();
    return last;
  }
  Json messages_ = Json::array();
  std::string thoughts_;
};

// Items of the responses before, oldest first.
std::vector<Json> earlier(Call& call, std::string id) {
  std::vector<Json> chain;
  while (!id.empty()) {
    const auto body = call.core.store.get("response", id);
    if (!body)
      throw ApiError(404, fmt::format("previous_response_id: there is no response \"{}\"", id),
                     "previous_response_id", "previous_response_not_found");
    chain.push_back(Json::parse(*body));
    if (chain.size() > kMostBefore)
      throw wrong("previous_response_id: too many responses in a row", "previous_response_id");
    id = text_or(chain.back()["response"], "previous_response_id", "");
  }
  std::reverse(chain.begin(), chain.end());
  return chain;
}

std::shared_ptr<Json> tools_of(const Json& body) {
  const Json* tools = member(body, "tools");
  if (!tools || tools->empty()) return nullptr;
  auto out = std::make_shared<Json>(Json::array());
  for (const Json& tool : *tools) {
    if (!tool.is_object() || text_or(tool, "type", "") != "function")
      throw wrong("tools: only those of type \"function\" are known here", "tools");
    Json function = Json::object();
    for (const char* name : {"name", "description", "parameters", "strict"})
      if (const Json* value = member(tool, name)) function[name] = *value;
    out->push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  return out;
}

void read_text_format(Call& call, ChatRequest& request) {
  const Json* text = member(call.body(), "text");
  const Json* format = text ? member(*text, "format") : nullptr;
  const std::string type = format ? text_or(*format, "type", "text") : "text";
  if (type == "text") return;
  const Json* schema = format ? member(*format, "schema") : nullptr;
  if (type == "json_schema" && !schema) throw wrong("text.format.schema is missing", "text");
  if (type != "json_schema" && type != "json_object")
    throw wrong(
        fmt::format("text.format.type is \"{}\"; expected text, json_object or json_schema", type),
        "text");
  request.options.constraint = schema_constraint(
      call, request.model, type == "json_schema" ? *schema : Json{{"type", "object"}}, "text");
}

}  // namespace

Fields responses_fields() {
  return {
      works("model", "string", "name of a served model"),
      works("input", "string|array", "a text, or items: messages, function calls, their outputs"),
      works("instructions", "string", "a system message, for this response only"),
      works("previous_response_id", "string", "a stored response to go on from"),
      works("store", "boolean", "keep the response; true"),
      works("stream", "boolean", "send the response as server-sent events"),
      works("max_output_tokens", "integer", "tokens of the answer at most", 1, 1e9),
      works("temperature", "number", "0 takes the most likely token each time", 0, 100),
      works("top_p", "number", "choose among the best tokens with this probability", 0, 1),
      works("top_logprobs", "integer", "log-probabilities of this many alternatives", 0, 20),
      works("text", "object", "format: {type: text, json_object or json_schema, schema}"),
      works("tools", "array", "functions the model may call"),
      works("tool_choice", "string|object", "auto, none, required, or {type: function, name}"),
      works("parallel_tool_calls", "boolean", "several tool calls in one answer"),
      works("reasoning", "object", "effort, a variable of the template"),
      works("user", "string", "the machine is shared alike between users"),
      noted("include", "array", "what there is is always told"),
      noted("metadata", "object", "notes of the client, kept with the response"),
      noted("service_tier", "string", "there is one tier"),
      noted("safety_identifier", "string", "notes of the client"),
      noted("prompt_cache_key", "string", "prompts that begin alike are always shared"),
      noted("prompt_cache_retention", "string", "prompts that begin alike are always shared"),
      noted("stream_options", "object", "there are none"),
      refused("background", "responses are made while the client waits", "false"),
      refused("conversation", "use previous_response_id", "null"),
      refused("prompt", "there are no stored prompts", "null"),
      refused("truncation", "nothing is cut; too long input is refused", "\"disabled\""),
      refused("max_tool_calls", "tools are called by the client", "null"),
  };
}

Json input_items(const Json& body) {
  const Json* input = member(body, "input");
  if (!input) return Json::array();
  if (!input->is_string()) return *input;
  return Json::array({{{"type", "message"}, {"role", "user"}, {"content", *input}}});
}

ChatRequest responses_request(Call& call, const Json& items) {
  const Json& body = call.body();
  ChatRequest request;
  request.model = call.served_model();
  Conversation conversation;
  if (const Json* instructions = member(body, "instructions"))
    conversation.add({{"role", "system"}, {"content", *instructions}});
  for (const Json& before : earlier(call, text_or(body, "previous_response_id", ""))) {
    for (const Json& item : before["input"]) conversation.add(item);
    for (const Json& item : before["response"]["output"]) conversation.add(item);
  }
  for (const Json& item : items) conversation.add(item);
  request.messages = std::make_shared<Json>(conversation.take());
  if (request.messages->empty()) throw wrong("input is missing");
  Json options = Json::object();
  for (const char* name : {"temperature", "top_p", "user"})
    if (const Json* value = member(body, name)) options[name] = *value;
  request.options = generation_options(options, request.model);
  request.options.max_tokens = integer_or(body, "max_output_tokens", request.model.context);
  request.options.logprobs = integer_or(body, "top_logprobs", -1);
  read_text_format(call, request);
  request.tools = tools_of(body);
  read_tool_choice(body, request);
  request.variables = std::make_shared<Json>(Json::object());
  if (const Json* reasoning = member(body, "reasoning"))
    if (const Json* effort = member(*reasoning, "effort")) {
      (*request.variables)["reasoning_effort"] = *effort;
      (*request.variables)["enable_thinking"] = *effort != "none";
    }
  return request;
}

Json output_items(const ChatAnswer& answer) {
  Json items = Json::array();
  if (!answer.reasoning.empty())
    items.push_back(
        {{"id", new_id("rs_")},
         {"type", "reasoning"},
         {"summary", Json::array()},
         {"content", Json::array({{{"type", "reasoning_text"}, {"text", answer.reasoning}}})}});
  if (!answer.content.empty() || answer.calls.empty())
    items.push_back({{"id", new_id("msg_")},
                     {"type", "message"},
                     {"status", answer.finish_reason == "length" ? "incomplete" : "completed"},
                     {"role", "assistant"},
                     {"content", Json::array({{{"type", "output_text"},
                                               {"text", answer.content},
                                               {"annotations", Json::array()}}})}});
  for (const ChatToolCall& call : answer.calls)
    items.push_back({{"id", new_id("fc_")},
                     {"type", "function_call"},
                     {"status", "completed"},
                     {"call_id", call.id},
                     {"name", call.name},
                     {"arguments", call.arguments}});
  return items;
}

Json response_head(const Call& call, const std::string& id, const std::string& model) {
  const Json& body = call.body();
  const auto given = [&](const char* name, Json fallback) {
    const Json* value = member(body, name);
    return value ? *value : std::move(fallback);
  };
  return {{"id", id},
          {"object", "response"},
          {"created_at", unix_time()},
          {"status", "in_progress"},
          {"background", false},
          {"error", nullptr},
          {"incomplete_details", nullptr},
          {"instructions", given("instructions", nullptr)},
          {"max_output_tokens", given("max_output_tokens", nullptr)},
          {"model", model},
          {"output", Json::array()},
          {"parallel_tool_calls", given("parallel_tool_calls", true)},
          {"previous_response_id", given("previous_response_id", nullptr)},
          {"reasoning", given("reasoning", {{"effort", nullptr}, {"summary", nullptr}})},
          {"store", given("store", true)},
          {"temperature", given("temperature", 1.0)},
          {"text", given("text", {{"format", {{"type", "text"}}}})},
          {"tool_choice", given("tool_choice", "auto")},
          {"tools", given("tools", Json::array())},
          {"top_p", given("top_p", 1.0)},
          {"truncation", "disabled"},
          {"usage", nullptr},
          {"user", given("user", nullptr)},
          {"metadata", given("metadata", Json::object())}};
}

}  // namespace lm::serve
