#include "engine/infer/constrain/schema/metaschema.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/infer/constrain/schema/document.h"
#include "engine/infer/constrain/schema/keywords.h"

namespace lm {
namespace {

struct Kind {
  Json schema;                        // of the keyword's value
  std::vector<const char*> keywords;  // that have it
};

// JSON Schema core and validation, 2019-09 and 2020-12: what each keyword's value may be.
std::vector<Kind> kinds(bool items_may_be_a_list) {
  const Json one = {{"$ref", "#"}};
  const Json list = {{"type", "array"}, {"minItems", 1}, {"items", one}};
  const Json table = {{"type", "object"}, {"additionalProperties", one}};
  const Json count = {{"type", "integer"}, {"minimum", 0}};
  const Json names = {{"type", "array"}, {"items", {{"type", "string"}}}, {"uniqueItems", true}};
  const Json type = {
      {"enum", {"array", "boolean", "integer", "null", "number", "object", "string"}}};
  const Json types = {{"type", "array"}, {"items", type}, {"minItems", 1}, {"uniqueItems", true}};
  const Json anchor = {{"type", "string"}, {"pattern", "^[A-Za-z_][-A-Za-z0-9._]*$"}};
  std::vector<Kind> all = {
      {one,
       {"additionalProperties", "contains", "contentSchema", "else", "if", "not", "propertyNames",
        "then", "unevaluatedItems", "unevaluatedProperties"}},
      {list, {"allOf", "anyOf", "oneOf"}},
      {table, {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}},
      {count,
       {"maxContains", "maxItems", "maxLength", "maxProperties", "minContains", "minItems",
        "minLength", "minProperties"}},
      {{{"type", "number"}}, {"exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum"}},
      {{{"type", "number"}, {"exclusiveMinimum", 0}}, {"multipleOf"}},
      {{{"type", "boolean"}}, {"deprecated", "readOnly", "uniqueItems", "writeOnly"}},
      {{{"type", "string"}},
       {"$comment", "$ref", "$schema", "contentEncoding", "contentMediaType", "description",
        "format", "pattern", "title"}},
      {{{"type", "string"}, {"pattern", "^[^#]*#?$"}}, {"$id"}},
      {anchor, {"$anchor"}},
      {{{"type", "array"}}, {"enum", "examples"}},
      {names, {"required"}},
      {{{"type", "object"}, {"additionalProperties", names}}, {"dependentRequired"}},
      {{{"type", "object"}, {"additionalProperties", {{"anyOf", {one, names}}}}}, {"dependencies"}},
      {{{"type", "object"}, {"additionalProperties", {{"type", "boolean"}}}}, {"$vocabulary"}},
      {{{"anyOf", {type, types}}}, {"type"}},
  };
  if (items_may_be_a_list) {
    all.push_back({{{"anyOf", {one, list}}}, {"items"}});
    all.push_back({one, {"additionalItems"}});
    all.push_back({{{"type", "string"}}, {"$recursiveRef"}});
    all.push_back({{{"type", "boolean"}}, {"$recursiveAnchor"}});
  } else {
    all.push_back({one, {"items"}});
    all.push_back({list, {"prefixItems"}});
    all.push_back({{{"type", "string"}}, {"$dynamicRef"}});
    all.push_back({anchor, {"$dynamicAnchor"}});
  }
  return all;
}

}  // namespace

bool has_validation(const Json& metaschema) {
  const auto vocabulary = metaschema.find("$vocabulary");
  if (vocabulary == metaschema.end() || !vocabulary->is_object()) return true;
  return std::any_of(vocabulary->items().begin(), vocabulary->items().end(),
                     [](const auto& entry) { return entry.key().ends_with("/vocab/validation"); });
}

void remove_validation(Json& schema) {
  if (!schema.is_object()) return;
  for (auto it = schema.begin(); it != schema.end();)
    it = is_validation(it.key()) ? schema.erase(it) : std::next(it);
  for (auto& [keyword, value] : schema.items()) {
    const Subschemas kind = subschemas_of(keyword);
    if (kind == Subschemas::none) continue;
    if (value.is_array() || kind == Subschemas::table)
      for (Json& one : value) remove_validation(one);
    else
      remove_validation(value);
  }
}

std::optional<std::string> metaschema(std::string_view uri) {
  const bool draft2019 = uri == "https://json-schema.org/draft/2019-09/schema";
  if (!draft2019 && uri != "https://json-schema.org/draft/2020-12/schema") return std::nullopt;
  Json properties = Json::object();
  for (const Kind& kind : kinds(draft2019))
    for (const char* keyword : kind.keywords) properties[keyword] = kind.schema;
  return Json{{"$id", uri}, {"type", {"object", "boolean"}}, {"properties", properties}}.dump();
}

}  // namespace lm
