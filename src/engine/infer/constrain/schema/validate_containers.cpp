// Keywords for arrays and objects.
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/infer/constrain/schema/validate_call.h"

namespace lm {

bool Validator::check_array(const Json& schema, const Json& value, Call& call) {
  bool good = true;
  const auto size = static_cast<int64_t>(value.size());
  const int64_t min = count_of(schema, "minItems"), max = count_of(schema, "maxItems");
  if (size < min)
    good = fail(schema, "minItems", call, fmt::format("{} items; expected at least {}", size, min));
  if (max >= 0 && size > max)
    good = fail(schema, "maxItems", call, fmt::format("{} items; expected at most {}", size, max));
  if (const Json* unique = member_at(schema, "uniqueItems"); unique && *unique == true) {
    std::vector<const Json*> sorted;
    for (size_t i = 0; i < value.size() && good; ++i)
      for (size_t j = 0; j < i; ++j)
        if (json_equal(value[i], value[j])) {
          good = fail(schema, "uniqueItems", call,
                      fmt::format("items {} and {} are equal; expected none that are", j, i));
          break;
        }
  }
  const bool modern = document_.draft() == Draft::draft2020;
  const Json* items = member_at(schema, "items");
  const Json* prefix = member_at(schema, modern ? "prefixItems" : "items");
  const Json* rest = modern                       ? items
                     : items && items->is_array() ? member_at(schema, "additionalItems")
                                                  : items;
  if (modern && items &&
      items->is_array()) {  // the old form, which many schemas without $schema use
    prefix = items;
    rest = member_at(schema, "additionalItems");
  }
  size_t begin = 0;
  if (prefix != nullptr && prefix->is_array()) {
    for (; begin < value.size() && begin < prefix->size(); ++begin)
      good = child((*prefix)[begin], value[begin], call, std::to_string(begin)) && good;
    call.seen.items_below = std::max(call.seen.items_below, begin);
  }
  if (rest != nullptr && (rest->is_object() || rest->is_boolean())) {
    for (size_t i = begin; i < value.size(); ++i)
      good = child(*rest, value[i], call, std::to_string(i)) && good;
    call.seen.all_items = true;
  }
  return check_contains(schema, value, call) && good;
}

bool Validator::check_contains(const Json& schema, const Json& value, Call& call) {
  const Json* contains = member_at(schema, "contains");
  if (contains == nullptr || document_.draft() < Draft::draft6) return true;
  int64_t n = 0;
  for (size_t i = 0; i < value.size(); ++i) {
    Call inner{nullptr, call.path, {}};
    if (!check(*contains, value[i], inner)) continue;
    ++n;
    if (document_.draft() == Draft::draft2020) call.seen.items.insert(i);
  }
  int64_t min = count_of(schema, "minContains"), max = count_of(schema, "maxContains");
  if (document_.draft() < Draft::draft2019) min = max = -1;
  if (n < (min < 0 ? 1 : min))
    return fail(schema, "contains", call,
                fmt::format("{} items satisfy it; expected at least {}", n, min < 0 ? 1 : min));
  if (max >= 0 && n > max)
    return fail(schema, "maxContains", call,
                fmt::format("{} items satisfy it; expected at most {}", n, max));
  return true;
}

bool Validator::check_object(const Json& schema, const Json& value, Call& call) {
  bool good = true;
  const auto size = static_cast<int64_t>(value.size());
  const int64_t min = count_of(schema, "minProperties"), max = count_of(schema, "maxProperties");
  if (size < min)
    good = fail(schema, "minProperties", call,
                fmt::format("{} properties; expected at least {}", size, min));
  if (max >= 0 && size > max)
    good = fail(schema, "maxProperties", call,
                fmt::format("{} properties; expected at most {}", size, max));
  if (const Json* required = member_at(schema, "required"); required && required->is_array())
    for (const Json& name : *required)
      if (name.is_string() && !value.contains(name.get_ref<const std::string&>()))
        good =
            fail(schema, "required", call, fmt::format("the property {} is missing", shown(name)));
  const Json* properties = member_at(schema, "properties");
  const Json* patterns = member_at(schema, "patternProperties");
  const Json* additional = member_at(schema, "additionalProperties");
  const Json* names =
      document_.draft() > Draft::draft4 ? member_at(schema, "propertyNames") : nullptr;
  for (const auto& [name, member] : value.items()) {
    bool known = false;
    if (properties && properties->is_object() && properties->contains(name)) {
      known = true;
      good = child((*properties)[name], member, call, name) && good;
    }
    if (patterns && patterns->is_object())
      for (const auto& [pattern, s] : patterns->items())
        if (matches(pattern, name)) {
          known = true;
          good = child(s, member, call, name) && good;
        }
    if (!known && additional) {
      known = true;
      good = child(*additional, member, call, name) && good;
    }
    if (known) call.seen.properties.insert(name);
    if (names) good = child(*names, Json(name), call, name) && good;
  }
  return check_dependencies(schema, value, call) && good;
}

bool Validator::check_dependencies(const Json& schema, const Json& value, Call& call) {
  bool good = true;
  for (const char* keyword : {"dependencies", "dependentRequired", "dependentSchemas"}) {
    const Json* table = member_at(schema, keyword);
    if (table == nullptr || !table->is_object()) continue;
    for (const auto& [name, needs] : table->items()) {
      if (!value.contains(name)) continue;
      if (!needs.is_array()) {
        good = beside(needs, value, call) && good;
        continue;
      }
      for (const Json& other : needs)
        if (other.is_string() && !value.contains(other.get_ref<const std::string&>()))
          good = fail(schema, keyword, call,
                      fmt::format("the property {} is missing beside \"{}\"", shown(other), name));
    }
  }
  return good;
}

bool Validator::check_unevaluated(const Json& schema, const Json& value, Call& call) {
  bool good = true;
  if (document_.draft() < Draft::draft2019) return good;
  if (const Json* rest = member_at(schema, "unevaluatedProperties"); rest && value.is_object()) {
    if (!call.seen.all_properties)
      for (const auto& [name, member] : value.items())
        if (!call.seen.properties.contains(name)) good = child(*rest, member, call, name) && good;
    call.seen.all_properties = true;
  }
  if (const Json* rest = member_at(schema, "unevaluatedItems"); rest && value.is_array()) {
    if (!call.seen.all_items)
      for (size_t i = call.seen.items_below; i < value.size(); ++i)
        if (!call.seen.items.contains(i))
          good = child(*rest, value[i], call, std::to_string(i)) && good;
    call.seen.all_items = true;
  }
  return good;
}

}  // namespace lm
