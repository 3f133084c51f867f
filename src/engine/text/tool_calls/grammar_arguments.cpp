#include "engine/text/tool_calls/grammar_arguments.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/api/constraint.h"
#include "engine/core/error.h"
#include "engine/text/tool_calls/schema.h"

namespace lm::tool_calls {

using json = nlohmann::ordered_json;
using Arguments = ToolCallFormat::Arguments;

std::string gbnf_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += std::string("\\") + c;
    else if (c == '\n')
      out += "\\n";
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out + "\"";
}

namespace {

constexpr int kMaxDepth = 16;
constexpr const char* kGemmaQuote = "<|\"|>";

bool is_required(const json& schema, const std::string& name) {
  const auto required = schema.find("required");
  return required != schema.end() && required->is_array() &&
         std::find(required->begin(), required->end(), json(name)) != required->end();
}

const json& properties_of(const json& schema) {
  static const json none = json::object();
  const auto found = schema.find("properties");
  return found != schema.end() && found->is_object() ? *found : none;
}

std::string type_of(const json& schema) {
  const auto type = schema.is_object() ? schema.find("type") : schema.end();
  return type != schema.end() && type->is_string() ? type->get<std::string>() : "";
}

// The constants that a schema allows, or none if it does not say.
std::vector<json> constants_of(const json& schema) {
  if (schema.is_object() && schema.contains("const")) return {schema["const"]};
  if (schema.is_object() && schema.contains("enum") && schema["enum"].is_array())
    return schema["enum"].get<std::vector<json>>();
  return {};
}

std::string joined(const std::vector<std::string>& parts, const char* between) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : between) + part;
  return out;
}

}  // namespace

std::string ArgumentsGrammar::new_rule(const std::string& body) {
  const std::string name = rule_ + "-" + std::to_string(++n_rules_);
  rules_ += name + " ::= " + body + "\n";
  return name;
}

// A schema that no constraint can hold is replaced, and a note says so.
std::string ArgumentsGrammar::json_value(const json& schema, const std::string& path,
                                         const char* otherwise) {
  json whole = schema;
  if (whole.is_boolean()) whole = json::object();
  for (const char* key : {"$defs", "definitions"})  // where references lead to
    if (root_->is_object() && root_->contains(key) && !whole.contains(key))
      whole[key] = (*root_)[key];
  ConstraintOptions o;
  o.text = whole.dump();
  try {
    Constraint::compile(o);
    return "%json " + o.text;
  } catch (const Error& e) {
    notes_.push_back(fmt::format("{}{}: not held to its schema: {}", tool_, path, e.message()));
    return std::string("%json ") + otherwise;
  }
}

template <typename Member>
std::string ArgumentsGrammar::listed_members(const json& schema, const char* comma,
                                             Member&& member) {
  // From the last to the first: what may follow when nothing stands yet, and when something does.
  std::string first = "\"\"", rest = "\"\"";
  const json& properties = properties_of(schema);
  std::vector<std::string> names;
  for (const auto& [name, value] : properties.items()) names.push_back(name);
  for (size_t i = names.size(); i-- > 0;) {
    const std::string body = member(names[i], properties[names[i]]);
    const std::string alone = "( " + body + " ) " + rest;
    const std::string behind = gbnf_string(comma) + " ( " + body + " ) " + rest;
    const bool needed = is_required(schema, names[i]);
    first = new_rule(needed ? alone : alone + " | " + first);
    rest = new_rule(needed ? behind : behind + " | " + rest);
  }
  return first;
}

std::string ArgumentsGrammar::tagged_value(const json& schema, const std::string& path) {
  const auto constants = constants_of(schema);
  if (!is_string(schema))
    return "%marker " + gbnf_string(f_.tags.other_value) + " " + json_value(schema, path, "{}") +
           " %marker " + gbnf_string(f_.tags.end);
  const std::string begin = "%marker " + gbnf_string(f_.tags.string_value) + " ";
  if (constants.empty()) {
    for (const char* key : {"pattern", "maxLength", "minLength", "format"})
      if (schema.contains(key))
        notes_.push_back(fmt::format("{}{}: {} is not enforced", tool_, path, key));
    return begin + "%until (" + gbnf_string(f_.tags.end) + ")";
  }
  std::vector<std::string> ways;
  for (const json& value : constants)
    if (value.is_string()) ways.push_back(gbnf_string(value.get<std::string>()));
  return begin + "( " + joined(ways, " | ") + " ) %marker " + gbnf_string(f_.tags.end);
}

std::string ArgumentsGrammar::tagged_members(const json& schema) {
  std::string out = "\"\"";
  for (const auto& [name, value] : properties_of(schema).items()) {
    const std::string body =
        "%marker " + gbnf_string(f_.tags.begin) + " " + gbnf_string(name) + " " +
        tagged_value(value, "/" + name) +
        (f_.tags.separator.empty() ? "" : " " + gbnf_string(f_.tags.separator));
    out += " ( " + body + " )" + (is_required(schema, name) ? "" : "?");
  }
  return out;
}

std::string ArgumentsGrammar::python_value(const json& schema, const std::string& path) {
  const std::string type = type_of(schema);
  if (type == "boolean" && constants_of(schema).empty()) return "\"True\" | \"False\"";
  if (type == "null") return "\"None\"";
  return json_value(schema, path, "{}");
}

std::string ArgumentsGrammar::gemma_value(const json& schema, const std::string& path, int depth) {
  const std::string quote = std::string("%marker ") + gbnf_string(kGemmaQuote);
  const std::string type = type_of(schema);
  if (const auto constants = constants_of(schema); !constants.empty()) {
    std::vector<std::string> ways;
    for (const json& value : constants)
      ways.push_back(value.is_string()
                         ? quote + " " + gbnf_string(value.get<std::string>()) + " " + quote
                         : gbnf_string(value.dump()));
    return joined(ways, " | ");
  }
  if (is_string(schema)) return quote + " %until (" + gbnf_string(kGemmaQuote) + ")";
  if (type == "object" && depth < kMaxDepth)
    return "\"{\" " +
           listed_members(schema, ",",
                          [&](const std::string& name, const json& value) {
                            return gbnf_string(name + ":") + " ( " +
                                   gemma_value(value, path + "/" + name, depth + 1) + " )";
                          }) +
           " \"}\"";
  if (type == "array" && depth < kMaxDepth) {
    const json items = schema.contains("items") ? schema["items"] : json::object();
    const std::string item = new_rule(gemma_value(items, path + "/items", depth + 1));
    return "\"[\" ( " + item + " ( \",\" " + item + " )* )? \"]\"";
  }
  if (type == "integer" || type == "number" || type == "boolean" || type == "null")
    return json_value(schema, path, "{\"type\":[\"number\",\"boolean\",\"null\"]}");
  notes_.push_back(fmt::format("{}{}: a text or a number is allowed", tool_, path));
  return quote + " %until (" + gbnf_string(kGemmaQuote) +
         ") | %json {\"type\":[\"number\",\"boolean\",\"null\"]}";
}

std::string ArgumentsGrammar::write(const json& schema) {
  root_ = &schema;
  std::string body;
  switch (f_.arguments) {
    case Arguments::json:
      body = json_value(schema, "", "{\"type\":\"object\"}");
      break;
    case Arguments::tagged:
      body = tagged_members(schema);
      break;
    case Arguments::python:
      body = listed_members(schema, ", ", [&](const std::string& name, const json& value) {
        return gbnf_string(name + "=") + " ( " + python_value(value, "/" + name) + " )";
      });
      break;
    case Arguments::gemma: {
      json object = schema;
      object["type"] = "object";
      body = gemma_value(object, "", 0);
      break;
    }
  }
  return rule_ + " ::= " + body + "\n" + rules_;
}

}  // namespace lm::tool_calls
