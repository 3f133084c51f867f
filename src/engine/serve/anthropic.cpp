#include "engine/serve/anthropic.h"

#include <nlohmann/json.hpp>

#include "engine/serve/generation_fields.h"

namespace lm::serve {
namespace {

ApiError wrong(const std::string& what, const char* param = "messages") {
  return ApiError(400, what, param, "invalid_value");
}

// A text, or the texts of a list of text blocks.
std::string text_of(const Json& content, const char* param) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array())
    throw wrong(fmt::format("{}: expected a string or a list of blocks", param), param);
  std::string text;
  for (const Json& block : content) {
    const std::string type = block.is_object() ? text_or(block, "type", "") : "";
    if (type != "text")
      throw wrong(fmt::format("{}: a block of type \"{}\"; expected text", param, type), param);
    text += text_or(block, "text", "");
  }
  return text;
}

Json image_part(const Json& block) {
  const Json* source = member(block, "source");
  if (!source || text_or(*source, "type", "") != "base64")
    throw wrong("messages: image sources must be of type base64");
  return {{"type", "image_url"},
          {"image_url",
           {{"url", fmt::format("data:{};base64,{}", text_or(*source, "media_type", "image/png"),
                                text_or(*source, "data", ""))}}}};
}

// One message of blocks becomes one or several of OpenAI's: results of tools are messages there.
void add_message(const Json& message, Json& out) {
  const std::string role = message.is_object() ? text_or(message, "role", "") : "";
  if (role != "user" && role != "assistant")
    throw wrong(fmt::format("messages: the role \"{}\"; expected user or assistant", role));
  const Json* content = member(message, "content");
  if (!content) throw wrong("messages: a message has no content");
  if (content->is_string()) {
    out.push_back({{"role", role}, {"content", *content}});
    return;
  }
  if (!content->is_array()) throw wrong("messages: content must be a string or a list of blocks");
  Json parts = Json::array(), calls = Json::array();
  std::string thoughts;
  for (const Json& block : *content) {
    const std::string type = block.is_object() ? text_or(block, "type", "") : "";
    if (type == "text") {
      parts.push_back({{"type", "text"}, {"text", text_or(block, "text", "")}});
    } else if (type == "image" && role == "user") {
      parts.push_back(image_part(block));
    } else if (type == "tool_use" && role == "assistant") {
      const Json* input = member(block, "input");
      calls.push_back({{"id", text_or(block, "id", "")},
                       {"type", "function"},
                       {"function",
                        {{"name", text_or(block, "name", "")},
                         {"arguments", dump(input ? *input : Json::object())}}}});
    } else if (type == "tool_result" && role == "user") {
      const Json* result = member(block, "content");
      out.push_back({{"role", "tool"},
                     {"tool_call_id", text_or(block, "tool_use_id", "")},
                     {"content", result ? text_of(*result, "messages") : ""}});
    } else if (type == "thinking" && role == "assistant") {
      thoughts += text_or(block, "thinking", "");
    } else if (type != "redacted_thinking") {
      throw wrong(fmt::format("messages: a block of type \"{}\" from the {} is not known here",
                              type, role));
    }
  }
  if (parts.empty() && calls.empty() && thoughts.empty()) return;  // nothing but results
  Json made = {{"role", role}, {"content", parts}};
  if (!thoughts.empty()) made["reasoning_content"] = thoughts;
  if (!calls.empty()) made["tool_calls"] = calls;
  out.push_back(std::move(made));
}

std::shared_ptr<Json> messages_of(const Json& body) {
  auto out = std::make_shared<Json>(Json::array());
  if (const Json* system = member(body, "system"))
    out->push_back({{"role", "system"}, {"content", text_of(*system, "system")}});
  for (const Json& message : *member(body, "messages")) add_message(message, *out);
  return out;
}

std::shared_ptr<Json> tools_of(const Json& body) {
  const Json* tools = member(body, "tools");
  if (!tools || tools->empty()) return nullptr;
  auto out = std::make_shared<Json>(Json::array());
  for (const Json& tool : *tools) {
    const Json* schema = tool.is_object() ? member(tool, "input_schema") : nullptr;
    if (!schema)
      throw wrong(
          "tools: each needs a name and an input_schema; tools that a server runs are "
          "not known here",
          "tools");
    out->push_back({{"type", "function"},
                    {"function",
                     {{"name", text_or(tool, "name", "")},
                      {"description", text_or(tool, "description", "")},
                      {"parameters", *schema}}}});
  }
  return out;
}

// Anthropic's choice as OpenAI's.
void read_choice(const Json& body, ChatRequest& request) {
  Json same = Json::object();
  if (const Json* choice = member(body, "tool_choice")) {
    const std::string type = text_or(*choice, "type", "");
    if (type == "tool")
      same["tool_choice"] = {{"type", "function"}, {"name", text_or(*choice, "name", "")}};
    else
      same["tool_choice"] = type == "any" ? "required" : type;
    same["parallel_tool_calls"] = !boolean_or(*choice, "disable_parallel_tool_use", false);
  }
  read_tool_choice(same, request);
}

}  // namespace

Fields anthropic_fields(bool for_counting) {
  Fields fields = {
      works("model", "string", "name of a served model"),
      required("messages", "array", "the conversation to answer"),
      works("system", "string|array", "instructions: a text or text blocks"),
      works("tools", "array", "functions the model may call: name, description, input_schema"),
      works("tool_choice", "object",
            "type: auto, any, tool (with name) or none; disable_parallel_tool_use"),
      works("thinking", "object", "type: enabled or disabled; for models that can do both"),
      noted("cache_control", "object", "prompts that begin alike are always shared"),
  };
  if (for_counting) return fields;
  const Fields more = {
      required("max_tokens", "integer", "tokens of the answer at most"),
      works("stream", "boolean", "send the answer as server-sent events"),
      works("stop_sequences", "array", "texts that end the answer"),
      works("temperature", "number", "0 takes the most likely token each time", 0, 100),
      works("top_p", "number", "choose among the best tokens with this probability", 0, 1),
      works("top_k", "integer", "choose among this many best tokens", 0, 1e9),
      works("output_config", "object", "format: {type: json_schema, schema}"),
      noted("metadata", "object", "notes of the client"),
      noted("service_tier", "string", "there is one tier"),
      refused("mcp_servers", "call tools yourself", "[]"),
      refused("container", "there are none", "null"),
      refused("context_management", "send what the model is to see", "{}"),
  };
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

ChatRequest anthropic_request(Call& call) {
  const Json& body = call.body();
  ChatRequest request;
  request.model = call.served_model();
  request.messages = messages_of(body);
  request.tools = tools_of(body);
  read_choice(body, request);
  Json options = Json::object();
  for (const char* name : {"temperature", "top_p", "top_k"})
    if (const Json* value = member(body, name)) options[name] = *value;
  if (const Json* stop = member(body, "stop_sequences")) options["stop"] = *stop;
  request.options = generation_options(options, request.model);
  request.options.max_tokens = integer_or(body, "max_tokens", 0);
  if (body.contains("max_tokens") && request.options.max_tokens < 1)
    throw wrong("max_tokens: expected 1 or more", "max_tokens");
  request.variables = std::make_shared<Json>(Json::object());
  if (const Json* thinking = member(body, "thinking"))
    (*request.variables)["enable_thinking"] = text_or(*thinking, "type", "") != "disabled";
  if (const Json* config = member(body, "output_config"))
    if (const Json* format = member(*config, "format")) {
      const Json* schema = member(*format, "schema");
      if (text_or(*format, "type", "") != "json_schema" || !schema)
        throw wrong("output_config.format: expected {type: json_schema, schema}", "output_config");
      request.options.constraint = schema_constraint(call, request.model, *schema, "output_config");
    }
  // An answer that the client began is gone on with.
  const Json& last = request.messages->back();
  request.continue_final_message = last["role"] == "assistant" && !last.contains("tool_calls");
  return request;
}

}  // namespace lm::serve
