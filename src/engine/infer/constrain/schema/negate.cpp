// Negations and disjointness of schemas.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/infer/constrain/schema/facets.h"
#include "engine/infer/constrain/schema/formats.h"
#include "engine/infer/constrain/schema/keywords.h"
#include "engine/infer/constrain/schema/validate.h"

namespace lm {

using Kind = Literal::Kind;

// A schema is all of its keywords: it fails where one of them does. Ways to fail that cannot be
// expressed are left out, which allows less than the schema does, and noted.
void Expander::negate(State& s, const Json& schema) {
  if (schema.is_boolean()) {
    if (schema.get<bool>()) s.facets.types = 0;
    return;
  }
  Group ways;
  std::vector<std::string> left_out;
  negate_applicators(ways, schema, left_out);
  if (!schema.contains("$ref") || document_.draft() >= Draft::draft2019) {
    const uint32_t types = type_bits(schema, document_);
    if (types != kAllTypes) ways.push_back({literals_.types(kAllTypes & ~types)});
    if (const Json* values = list_at(schema, "enum"))
      ways.push_back({literals_.id({Kind::exclude, values, 0})});
    if (const Json* value = member_at(schema, "const"))
      ways.push_back({literals_.id({Kind::exclude, value, 1})});
    negate_scalars(ways, schema);
    negate_containers(ways, schema, left_out);
  }
  if (ways.empty() && !left_out.empty())
    unsupported(schema, left_out[0], "its negation (in not, oneOf or if) is not supported");
  for (const std::string& keyword : left_out)
    note(document_.path_of(schema) + "/" + keyword +
         ": its negation is not supported; fewer texts are allowed than the schema does");
  if (ways.empty())
    s.facets.types = 0;
  else
    s.groups.push_back(std::move(ways));
}

void Expander::negate_applicators(Group& g, const Json& schema,
                                  std::vector<std::string>& left_out) {
  if (const Json* ref = member_at(schema, "$ref"); ref && ref->is_string())
    g.push_back(
        {literals_.negated(*document_.resolve(schema, ref->get_ref<const std::string&>()).schema)});
  if (document_.draft() < Draft::draft2019 && schema.contains("$ref")) return;
  if (const Json* all = list_at(schema, "allOf"))
    for (const Json& part : *all) g.push_back({literals_.negated(part)});
  if (const Json* any = list_at(schema, "anyOf")) {
    Way none;
    for (const Json& way : *any) none.push_back(literals_.negated(way));
    g.push_back(std::move(none));
  }
  if (const Json* one = list_at(schema, "oneOf")) {
    Way none;
    for (const Json& way : *one) none.push_back(literals_.negated(way));
    g.push_back(std::move(none));
    for (size_t i = 0; i < one->size(); ++i)
      for (size_t j = 0; j < i; ++j)
        if (!disjoint((*one)[i], (*one)[j]))
          g.push_back({literals_.schema((*one)[i]), literals_.schema((*one)[j])});
  }
  if (const Json* no = schema_at(schema, "not")) g.push_back({literals_.schema(*no)});
  if (const Json* condition = schema_at(schema, "if");
      condition && document_.draft() >= Draft::draft7) {
    if (const Json* then = schema_at(schema, "then"))
      g.push_back({literals_.schema(*condition), literals_.negated(*then)});
    if (const Json* other = schema_at(schema, "else"))
      g.push_back({literals_.negated(*condition), literals_.negated(*other)});
  }
  for (const char* keyword : {"$dynamicRef", "$recursiveRef"})
    if (schema.contains(keyword)) left_out.push_back(keyword);
}

void Expander::negate_scalars(Group& g, const Json& schema) {
  const LiteralId number = literals_.types(kNumberType), string = literals_.types(kStringType);
  const auto strict = [&](const char* keyword) {
    const Json* value = member_at(schema, keyword);
    return value != nullptr && *value == true;
  };
  const auto bound = [&](const char* keyword, Kind other_side, bool was_strict) {
    const Json* value = member_at(schema, keyword);
    if (value && value->is_number())
      g.push_back({number, literals_.id({other_side, value, was_strict ? 0 : 1})});
  };
  bound("minimum", Kind::maximum, strict("exclusiveMinimum"));
  bound("maximum", Kind::minimum, strict("exclusiveMaximum"));
  bound("exclusiveMinimum", Kind::maximum, true);
  bound("exclusiveMaximum", Kind::minimum, true);
  if (const Json* step = member_at(schema, "multipleOf"); step && step->is_number())
    g.push_back({number, literals_.id({Kind::not_multiple, step})});
  if (const int64_t min = count_at(schema, "minLength", 0); min > 0)
    g.push_back({string, literals_.id({Kind::max_length, nullptr, min - 1})});
  if (const int64_t max = count_at(schema, "maxLength", -1); max >= 0)
    g.push_back({string, literals_.id({Kind::min_length, nullptr, max + 1})});
  if (const Json* pattern = member_at(schema, "pattern"); pattern && pattern->is_string())
    g.push_back({string, literals_.id({Kind::not_pattern, pattern})});
  if (const Json* format = member_at(schema, "format");
      format && format->is_string() && format_pattern(format->get_ref<const std::string&>()))
    g.push_back({string, literals_.id({Kind::not_format, format})});
}

void Expander::negate_containers(Group& g, const Json& schema, std::vector<std::string>& left_out) {
  const LiteralId array = literals_.types(kArrayType), object = literals_.types(kObjectType);
  if (const int64_t min = count_at(schema, "minItems", 0); min > 0)
    g.push_back({array, literals_.id({Kind::max_items, nullptr, min - 1})});
  if (const int64_t max = count_at(schema, "maxItems", -1); max >= 0)
    g.push_back({array, literals_.id({Kind::min_items, nullptr, max + 1})});
  if (const int64_t min = count_at(schema, "minProperties", 0); min > 0)
    g.push_back({object, literals_.id({Kind::max_properties, nullptr, min - 1})});
  if (const int64_t max = count_at(schema, "maxProperties", -1); max >= 0)
    g.push_back({object, literals_.id({Kind::min_properties, nullptr, max + 1})});
  const auto has = [&](const std::string& name) {
    return literals_.id({Kind::has, nullptr, 0, name});
  };
  const auto lacks = [&](const std::string& name) {
    return literals_.id({Kind::lacks, nullptr, 0, name});
  };
  if (const Json* required = list_at(schema, "required"))
    for (const Json& name : *required)
      if (name.is_string()) g.push_back({object, lacks(name.get<std::string>())});
  if (const Json* properties = table_at(schema, "properties"))
    for (const auto& [name, member] : properties->items()) {
      if (is_trivial(member)) continue;
      Literal property{Kind::property, nullptr, 0, name, literals_.negated(member)};
      g.push_back({object, has(name), literals_.id(property)});
    }
  for (const char* keyword : {"dependencies", "dependentRequired"}) {
    const Json* table = table_at(schema, keyword);
    if (table == nullptr) continue;
    for (const auto& [name, needs] : table->items()) {
      if (!needs.is_array()) {
        g.push_back({object, has(name), literals_.negated(needs)});
        continue;
      }
      for (const Json& other : needs)
        if (other.is_string()) g.push_back({object, has(name), lacks(other.get<std::string>())});
    }
  }
  if (const Json* table = table_at(schema, "dependentSchemas"))
    for (const auto& [name, needs] : table->items())
      g.push_back({object, has(name), literals_.negated(needs)});
  for (const char* keyword :
       {"patternProperties", "additionalProperties", "propertyNames", "unevaluatedProperties",
        "items", "prefixItems", "additionalItems", "contains", "unevaluatedItems", "uniqueItems"}) {
    const Json* value = member_at(schema, keyword);
    if (value == nullptr || (value->is_boolean() && is_trivial(*value) && keyword[0] != 'u'))
      continue;
    if (value->is_object() && (value->empty() || is_trivial(*value)) && keyword[0] != 'c') continue;
    if (*value == false && keyword[1] == 'n' && keyword[0] == 'u') continue;  // uniqueItems = false
    left_out.push_back(keyword);
  }
}

const Json& Expander::behind_refs(const Json& schema) {
  const Json* at = &schema;
  for (int i = 0; i < 20; ++i) {
    const Json* ref = member_at(*at, "$ref");
    if (ref == nullptr || !ref->is_string()) break;
    const bool lone = document_.draft() < Draft::draft2019 ||
                      std::all_of(at->items().begin(), at->items().end(), [](const auto& item) {
                        return item.key() == "$ref" || is_annotation(item.key());
                      });
    if (!lone) break;
    at = document_.resolve(*at, ref->get_ref<const std::string&>()).schema;
  }
  return *at;
}

uint32_t Expander::types_of(const Json& given, int depth) {
  const Json& schema = behind_refs(given);
  if (schema.is_boolean()) return schema.get<bool>() ? uint32_t{kAllTypes} : 0;
  uint32_t bits = type_bits(schema, document_);
  if (const Json* values = list_at(schema, "enum")) {
    uint32_t any = 0;
    for (const Json& value : *values) any |= type_of_value(value);
    bits &= any;
  }
  if (const Json* value = member_at(schema, "const")) bits &= type_of_value(*value);
  if (depth > 4) return bits;
  if (const Json* all = list_at(schema, "allOf"))
    for (const Json& part : *all) bits &= types_of(part, depth + 1);
  for (const char* keyword : {"anyOf", "oneOf"})
    if (const Json* ways = list_at(schema, keyword)) {
      uint32_t any = 0;
      for (const Json& way : *ways) any |= types_of(way, depth + 1);
      bits &= any;
    }
  return bits;
}

// Whether no value satisfies both, as far as types, constants and properties that must be there
// tell.
bool Expander::disjoint(const Json& x, const Json& y, int depth) {
  const uint32_t common = types_of(x) & types_of(y);
  if (common == 0) return true;
  const Json &a = behind_refs(x), &b = behind_refs(y);
  if (!a.is_object() || !b.is_object() || depth > 3) return false;
  const auto values = [](const Json& s) {
    std::vector<const Json*> out;
    if (const Json* only = member_at(s, "const"))
      out.push_back(only);
    else if (const Json* list = list_at(s, "enum"))
      for (const Json& v : *list) out.push_back(&v);
    return out;
  };
  const auto va = values(a), vb = values(b);
  if (!va.empty() && !vb.empty() && std::none_of(va.begin(), va.end(), [&](const Json* v) {
        return std::any_of(vb.begin(), vb.end(), [&](const Json* w) { return json_equal(*v, *w); });
      }))
    return true;
  if (common != kObjectType) return false;
  const auto rules_out = [&](const Json& s, const Json& other) {
    const Json* required = list_at(s, "required");
    if (required == nullptr) return false;
    const Json* mine = table_at(s, "properties");
    const Json* theirs = table_at(other, "properties");
    const Json* rest = member_at(other, "additionalProperties");
    for (const Json& name : *required) {
      if (!name.is_string()) continue;
      const auto& text = name.get_ref<const std::string&>();
      const bool known = theirs && theirs->contains(text);
      if (!known && rest && *rest == false && !other.contains("patternProperties")) return true;
      if (known && mine && mine->contains(text) &&
          disjoint((*mine)[text], (*theirs)[text], depth + 1))
        return true;
    }
    return false;
  };
  return rules_out(a, b) || rules_out(b, a);
}

}  // namespace lm
