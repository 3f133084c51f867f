// Messages and tools in the form that a model's template takes.
#include <nlohmann/json.hpp>

#include "engine/api/tool_calls.h"
#include "engine/core/error.h"
#include "engine/text/tool_calls/schema.h"

namespace lm {
namespace {

using json = nlohmann::ordered_json;

json read_list(std::string_view text, const char* what) {
  const json list = json::parse(text, nullptr, false);
  LM_CHECK(list.is_array(), ErrorCode::bad_option, "{}: expected a JSON list", what);
  for (const json& member : list)
    LM_CHECK(member.is_object(), ErrorCode::bad_option, "{}: a member is {}; expected an object",
             what, member.type_name());
  return list;
}

json* function_of(json& call) {
  if (call.is_object() && call.contains("function") && call["function"].is_object())
    return &call["function"];
  return call.is_object() ? &call : nullptr;
}

// Arguments as the template wants them.
void convert_calls(const ToolCallFormat& f, json& message) {
  if (!message.contains("tool_calls") || !message["tool_calls"].is_array()) return;
  for (json& call : message["tool_calls"]) {
    json* function = function_of(call);
    if (function == nullptr || !function->contains("arguments")) continue;
    json& arguments = (*function)["arguments"];
    if (f.arguments_as_text && !arguments.is_string()) arguments = arguments.dump();
    if (f.arguments_as_text || !arguments.is_string()) continue;
    json parsed = json::parse(arguments.get<std::string>(), nullptr, false);
    if (parsed.is_object()) arguments = std::move(parsed);
  }
  const bool empty =
      !message.contains("content") || message["content"].is_null() || message["content"] == "";
  if (empty && !message["tool_calls"].empty())
    message["content"] = f.needs_null_content ? json(nullptr) : json("");
}

constexpr const char* kInstructions =
    "You can call functions. Each line below describes one of them as JSON:\n"
    "{}\n"
    "To call a function, answer with nothing but a JSON object that holds its name and its "
    "arguments:\n"
    "{{\"name\": \"function_name\", \"arguments\": {{\"argument\": \"value\"}}}}\n"
    "Otherwise answer in plain words.";

std::string instructions(const json& tools) {
  std::string lines;
  for (const json& tool : tools) {
    const json& f = tool.contains("function") ? tool["function"] : tool;
    lines += (lines.empty() ? "" : "\n") + f.dump();
  }
  return fmt::format(fmt::runtime(kInstructions), lines);
}

std::string text_of(const json& message) {
  if (!message.contains("content")) return "";
  const json& content = message["content"];
  if (content.is_string()) return content.get<std::string>();
  std::string all;
  if (content.is_array())
    for (const json& part : content)
      if (part.is_object() && part.contains("text") && part["text"].is_string())
        all += part["text"].get<std::string>();
  return all;
}

// Calls and results as plain messages of the assistant and the user. Results that follow each other
// become one message, since many templates want the roles to alternate.
json plain(const json& messages, const json& tools) {
  json out = json::array();
  const std::string told = tools.empty() ? "" : instructions(tools);
  bool has_system = false;
  for (const json& message : messages) {
    json m = message;
    const std::string role = m.value("role", "");
    if (role == "system" && !has_system && !told.empty()) {
      m["content"] = text_of(m) + "\n\n" + told;
      has_system = true;
    } else if (role == "assistant" && m.contains("tool_calls") && m["tool_calls"].is_array()) {
      std::string text = text_of(m);
      for (json& call : m["tool_calls"]) {
        const json* function = function_of(call);
        if (function == nullptr) continue;
        const json arguments = function->value("arguments", json::object());
        text += (text.empty() ? "" : "\n") + std::string("{\"name\": ") +
                json(function->value("name", "")).dump() + ", \"arguments\": " +
                (arguments.is_string() ? arguments.get<std::string>() : arguments.dump()) + "}";
      }
      m.erase("tool_calls");
      m["content"] = text;
    } else if (role == "tool") {
      const std::string name = m.value("name", "");
      const std::string text =
          (name.empty() ? "The function" : "The function " + name) + " returned: " + text_of(m);
      if (!out.empty() && out.back().value("role", "") == "user" && message != messages.front()) {
        out.back()["content"] = text_of(out.back()) + "\n" + text;
        continue;
      }
      m = {{"role", "user"}, {"content", text}};
    }
    out.push_back(std::move(m));
  }
  if (!has_system && !told.empty())
    out.insert(out.begin(), json{{"role", "system"}, {"content", told}});
  return out;
}

}  // namespace

ToolChat tool_messages(const ToolCallFormat& format, std::string_view messages,
                       std::string_view tools) {
  json list = read_list(messages, "messages");
  json tool_list = tools.empty() ? json::array() : read_list(tools, "tools");
  tool_calls::read_tools(tool_list.dump());  // checks them
  for (json& tool : tool_list)
    if (!tool.contains("function")) tool = {{"type", "function"}, {"function", tool}};
  ToolChat out;
  if (format.generic) {
    out.messages = plain(list, tool_list).dump();
    return out;
  }
  for (json& message : list) convert_calls(format, message);
  if (!tool_list.empty() && format.tools_variable == "system.tools") {
    json functions = json::array();
    for (const json& tool : tool_list) functions.push_back(tool["function"]);
    if (list.empty() || list.front().value("role", "") != "system")
      list.insert(list.begin(), json{{"role", "system"}, {"content", ""}});
    list.front()["tools"] = functions.dump();
  } else if (!tool_list.empty() && format.tools_variable == "tools") {
    out.tools = tool_list.dump();
  } else if (!tool_list.empty()) {
    out.extra = json{{format.tools_variable, tool_list}}.dump();
  }
  out.messages = list.dump();
  return out;
}

}  // namespace lm
