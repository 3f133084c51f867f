#include "engine/infer/constrain/schema/keywords.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/infer/constrain/schema/document.h"

namespace lm {
namespace {

constexpr std::string_view kConditions[] = {"$dynamicRef",
                                            "$recursiveRef",
                                            "$ref",
                                            "additionalItems",
                                            "additionalProperties",
                                            "allOf",
                                            "anyOf",
                                            "const",
                                            "contains",
                                            "dependencies",
                                            "dependentRequired",
                                            "dependentSchemas",
                                            "else",
                                            "enum",
                                            "exclusiveMaximum",
                                            "exclusiveMinimum",
                                            "format",
                                            "if",
                                            "items",
                                            "maxContains",
                                            "maxItems",
                                            "maxLength",
                                            "maxProperties",
                                            "maximum",
                                            "minContains",
                                            "minItems",
                                            "minLength",
                                            "minProperties",
                                            "minimum",
                                            "multipleOf",
                                            "not",
                                            "oneOf",
                                            "pattern",
                                            "patternProperties",
                                            "prefixItems",
                                            "properties",
                                            "propertyNames",
                                            "required",
                                            "then",
                                            "type",
                                            "unevaluatedItems",
                                            "unevaluatedProperties",
                                            "uniqueItems"};

}  // namespace

const Json* member_at(const Json& schema, const char* keyword) {
  if (!schema.is_object()) return nullptr;
  const auto it = schema.find(keyword);
  return it == schema.end() ? nullptr : &*it;
}

const Json* list_at(const Json& schema, const char* keyword) {
  const Json* value = member_at(schema, keyword);
  return value && value->is_array() ? value : nullptr;
}

const Json* table_at(const Json& schema, const char* keyword) {
  const Json* value = member_at(schema, keyword);
  return value && value->is_object() ? value : nullptr;
}

const Json* schema_at(const Json& schema, const char* keyword) {
  const Json* value = member_at(schema, keyword);
  return value && (value->is_object() || value->is_boolean()) ? value : nullptr;
}

int64_t count_at(const Json& schema, const char* keyword, int64_t fallback) {
  const Json* value = member_at(schema, keyword);
  if (value == nullptr || !value->is_number()) return fallback;
  const double number = value->get<double>();
  if (!(number >= 0)) return fallback;
  return static_cast<int64_t>(std::min(number, 4e9));
}

uint32_t type_bits(const Json& schema, const SchemaDocument& document) {
  const Json* type = member_at(schema, "type");
  if (type == nullptr) return kAllTypes;
  const auto bits = [&](const Json& name) -> uint32_t {
    const std::string text = name.is_string() ? name.get<std::string>() : "";
    if (text == "null") return kNullType;
    if (text == "boolean") return kBooleanType;
    if (text == "integer") return kIntegerType;
    if (text == "number") return kNumberType;
    if (text == "string") return kStringType;
    if (text == "array") return kArrayType;
    if (text == "object") return kObjectType;
    if (text == "any" && document.draft() == Draft::draft4) return kAllTypes;
    raise(ErrorCode::bad_option,
          "{}/type: {}; expected one of null, boolean, integer, number, string, array, object",
          document.path_of(schema), name.dump());
  };
  if (!type->is_array()) return bits(*type);
  uint32_t all = 0;
  for (const Json& name : *type) all |= bits(name);
  return all;
}

uint32_t type_of_value(const Json& value) {
  if (value.is_null()) return kNullType;
  if (value.is_boolean()) return kBooleanType;
  if (value.is_number_integer()) return kIntegerType;
  if (value.is_number_float()) {
    const double number = value.get<double>();
    return number == std::floor(number) ? kIntegerType : kFractionType;
  }
  if (value.is_string()) return kStringType;
  return value.is_array() ? kArrayType : kObjectType;
}

bool is_annotation(std::string_view keyword) {
  return !std::binary_search(std::begin(kConditions), std::end(kConditions), keyword);
}

bool is_validation(std::string_view keyword) {
  return !is_annotation(keyword) && subschemas_of(keyword) == Subschemas::none &&
         !keyword.starts_with('$') && keyword != "format";
}

}  // namespace lm
