#include "engine/text/tool_calls/schema.h"

#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace lm::tool_calls {

using json = nlohmann::ordered_json;

std::vector<ToolInfo> read_tools(std::string_view text) {
  std::vector<ToolInfo> all;
  if (text.empty()) return all;
  const json list = json::parse(text, nullptr, false);
  LM_CHECK(list.is_array(), ErrorCode::bad_option, "tools: expected a JSON list of tools");
  for (const json& entry : list) {
    const bool wrapped = entry.is_object() && entry.contains("function");
    const json& f = wrapped ? entry["function"] : entry;
    LM_CHECK(f.is_object() && f.contains("name") && f["name"].is_string(), ErrorCode::bad_option,
             "tools: tool {} has no name; expected {{\"type\": \"function\", \"function\": "
             "{{\"name\": ...}}}}",
             all.size() + 1);
    ToolInfo tool{f["name"], R"({"type":"object","properties":{}})"};
    for (const char* key : {"parameters", "input_schema", "inputSchema"})
      if (f.contains(key) && f[key].is_object() && !f[key].empty()) tool.schema = f[key].dump();
    all.push_back(std::move(tool));
  }
  return all;
}

std::vector<std::string> unmarked_openings(const std::string& name_key, bool in_list) {
  std::vector<std::string> all;
  if (in_list) {
    for (const std::string& opening : unmarked_openings(name_key, false))
      for (const char* space : {"", " ", "\n", "\n  ", "\n    "})
        all.push_back(std::string("[") + space + opening);
    return all;
  }
  for (const char* space : {"", " ", "\n", "\n  ", "\n    "})
    all.push_back(std::string("{") + space + json(name_key.empty() ? "name" : name_key).dump());
  return all;
}

json closed(const json& schema) {
  if (schema.is_array()) {
    json list = json::array();
    for (const json& member : schema) list.push_back(closed(member));
    return list;
  }
  if (!schema.is_object()) return schema;
  json out = schema;
  for (const char* key : {"properties", "$defs", "definitions"})
    if (out.contains(key) && out[key].is_object())
      for (auto& member : out[key]) member = closed(member);
  for (const char* key : {"items", "prefixItems", "anyOf", "oneOf"})
    if (out.contains(key)) out[key] = closed(out[key]);
  // Beside other schemas for the same object, none knows all properties.
  for (const char* key : {"additionalProperties", "unevaluatedProperties", "patternProperties",
                          "allOf", "anyOf", "oneOf", "not", "if", "$ref", "$dynamicRef"})
    if (out.contains(key)) return out;
  const auto type = out.find("type");
  if (type != out.end() && *type == "object") {
    if (!out.contains("properties")) return out;
    out["additionalProperties"] = false;
  }
  return out;
}

bool is_string(const json& schema) {
  if (!schema.is_object()) return false;
  if (const auto type = schema.find("type"); type != schema.end()) return *type == "string";
  const auto choices = schema.find("enum");
  if (choices == schema.end() || !choices->is_array() || choices->empty()) return false;
  for (const json& choice : *choices)
    if (!choice.is_string()) return false;
  return true;
}

}  // namespace lm::tool_calls
