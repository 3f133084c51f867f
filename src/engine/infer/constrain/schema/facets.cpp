#include "engine/infer/constrain/schema/facets.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/infer/constrain/schema/formats.h"
#include "engine/infer/constrain/schema/keywords.h"
#include "engine/infer/constrain/schema/validate.h"

namespace lm {
namespace {

constexpr size_t kMaxWays = 3000;

}  // namespace

void Expander::unsupported(const Json& schema, const std::string& keyword, const char* why) const {
  raise(ErrorCode::unsupported, "{}/{}: {}", document_.path_of(schema), keyword, why);
}

void Expander::note(const std::string& text) {
  if (notes_.size() < 100 && std::find(notes_.begin(), notes_.end(), text) == notes_.end())
    notes_.push_back(text);
}

bool Expander::is_trivial(const Json& schema) {
  if (schema.is_boolean()) return schema.get<bool>();
  for (const auto& [keyword, value] : schema.items())
    if (!is_annotation(keyword)) return false;
  return true;
}

std::vector<Facets> Expander::expand(const Goal& goal) {
  runs_ = 0;
  State state;
  state.todo.assign(goal.begin(), goal.end());
  std::vector<Facets> out;
  run(std::move(state), out);
  for (const Facets& f : out) {
    const bool alone = goal.size() == 1 && literals_[goal[0]].kind == Literal::Kind::schema;
    const Json* mine = alone ? literals_[goal[0]].node : nullptr;
    if (f.unevaluated_properties && (f.types & kObjectType) &&
        (f.unevaluated_properties != mine || mine->contains("not")))
      unsupported(*f.unevaluated_properties, "unevaluatedProperties",
                  "not supported where several schemas apply to one value");
    if (f.unevaluated_items && (f.types & kArrayType) &&
        (f.unevaluated_items != mine || mine->contains("not") || !f.contains.empty()))
      unsupported(*f.unevaluated_items, "unevaluatedItems",
                  "not supported where several schemas apply to one value");
  }
  return out;
}

void Expander::run(State s, std::vector<Facets>& out) {
  LM_CHECK(++runs_ < kMaxWays, ErrorCode::unsupported,
           "#: more than {} combinations of anyOf, oneOf, if and not; expected fewer", kMaxWays);
  while (!s.todo.empty()) {
    const LiteralId id = s.todo.back();
    s.todo.pop_back();
    if (!s.seen.insert(id).second) continue;
    s.facets.literals.push_back(id);
    const Literal literal = literals_[id];
    absorb(s, literal);
    if (s.facets.types == 0) return;
  }
  if (s.groups.empty()) {
    for (const std::string& name : s.facets.required)
      if (s.facets.lacks.contains(name)) s.facets.types &= ~kObjectType;
    if (s.facets.types != 0) out.push_back(std::move(s.facets));
    return;
  }
  const auto least =
      std::min_element(s.groups.begin(), s.groups.end(),
                       [](const auto& a, const auto& b) { return a.size() < b.size(); });
  const Group group = std::move(*least);
  s.groups.erase(least);
  for (const Way& way : group) {
    State next = s;
    next.todo = way;
    run(std::move(next), out);
  }
}

void Expander::absorb(State& s, const Literal& l) {
  Facets& f = s.facets;
  using Kind = Literal::Kind;
  const auto raise_to = [](int64_t& value, int64_t n) { value = std::max(value, n); };
  const auto lower_to = [](int64_t& value, int64_t n) {
    value = value < 0 ? n : std::min(value, n);
  };
  switch (l.kind) {
    case Kind::schema:
      return absorb_schema(s, *l.node);
    case Kind::not_schema:
      return negate(s, *l.node);
    case Kind::types:
      f.types &= static_cast<uint32_t>(l.n);
      return;
    case Kind::has:
      f.required.insert(l.name);
      return;
    case Kind::lacks:
      f.lacks.insert(l.name);
      return;
    case Kind::property:
      f.members.emplace_back(l.name, l.sub);
      return;
    case Kind::exclude:
      f.excluded.emplace_back(l.node, l.n == 1);
      return;
    case Kind::min_length:
      return raise_to(f.min_length, l.n);
    case Kind::max_length:
      return lower_to(f.max_length, l.n);
    case Kind::not_pattern:
      f.not_patterns.push_back(l.node);
      return;
    case Kind::not_format:
      f.not_formats.push_back(l.node);
      return;
    case Kind::minimum:
      f.bounds.push_back({l.node, true, l.n == 1});
      return;
    case Kind::maximum:
      f.bounds.push_back({l.node, false, l.n == 1});
      return;
    case Kind::not_multiple:
      f.not_multiples.push_back(l.node);
      return;
    case Kind::min_items:
      return raise_to(f.min_items, l.n);
    case Kind::max_items:
      return lower_to(f.max_items, l.n);
    case Kind::min_properties:
      return raise_to(f.min_properties, l.n);
    case Kind::max_properties:
      return lower_to(f.max_properties, l.n);
  }
}

void Expander::absorb_schema(State& s, const Json& schema) {
  if (schema.is_boolean()) {
    if (!schema.get<bool>()) s.facets.types = 0;
    return;
  }
  LM_CHECK(schema.is_object(), ErrorCode::bad_option, "{}: {}; expected an object or a boolean",
           document_.path_of(schema), schema.type_name());
  if (schema.contains("$ref") && document_.draft() < Draft::draft2019) {
    absorb_references(s, schema);
    return;
  }
  absorb_types(s, schema);
  absorb_references(s, schema);
  absorb_applicators(s, schema);
  absorb_dependencies(s, schema);
  absorb_number(s, schema);
  absorb_string(s, schema);
  absorb_array(s, schema);
  absorb_object(s, schema);
}

void Expander::absorb_types(State& s, const Json& schema) {
  s.facets.types &= type_bits(schema, document_);
  if (const Json* values = list_at(schema, "enum")) s.facets.enums.push_back(values);
  if (const Json* value = member_at(schema, "const"); value && document_.draft() > Draft::draft4)
    s.facets.constants.push_back(value);
}

void Expander::absorb_references(State& s, const Json& schema) {
  if (const Json* ref = member_at(schema, "$ref"); ref && ref->is_string())
    s.todo.push_back(
        literals_.schema(*document_.resolve(schema, ref->get_ref<const std::string&>()).schema));
  for (const char* keyword : {"$dynamicRef", "$recursiveRef"}) {
    const Json* ref = member_at(schema, keyword);
    if (ref == nullptr || !ref->is_string()) continue;
    const auto& text = ref->get_ref<const std::string&>();
    const size_t hash = text.find('#');
    if (document_.dynamic_anchors(hash == text.npos ? "" : text.substr(hash + 1)) > 1)
      unsupported(schema, keyword, "not supported where several anchors have its name");
    s.todo.push_back(
        literals_.schema(*document_.resolve(schema, ref->get_ref<const std::string&>()).schema));
  }
}

void Expander::absorb_applicators(State& s, const Json& schema) {
  if (const Json* all = list_at(schema, "allOf"))
    for (const Json& part : *all) s.todo.push_back(literals_.schema(part));
  if (const Json* any = list_at(schema, "anyOf")) {
    Group group;
    for (const Json& way : *any) group.push_back({literals_.schema(way)});
    s.groups.push_back(std::move(group));
  }
  if (const Json* one = list_at(schema, "oneOf")) absorb_one_of(s, schema, *one);
  if (const Json* no = schema_at(schema, "not")) s.todo.push_back(literals_.negated(*no));
  const Json* condition = schema_at(schema, "if");
  if (condition == nullptr || document_.draft() < Draft::draft7) return;
  const Json *then = schema_at(schema, "then"), *other = schema_at(schema, "else");
  if (then == nullptr && other == nullptr) return;
  Way yes{literals_.schema(*condition)}, no{literals_.negated(*condition)};
  if (then) yes.push_back(literals_.schema(*then));
  if (other) no.push_back(literals_.schema(*other));
  s.groups.push_back({yes, no});
}

// Exactly one: each way with the negations of those others that it does not rule out by itself.
void Expander::absorb_one_of(State& s, const Json& schema, const Json& ways) {
  Group group;
  for (size_t i = 0; i < ways.size(); ++i) {
    Way way{literals_.schema(ways[i])};
    for (size_t j = 0; j < ways.size(); ++j) {
      if (i == j || disjoint(ways[i], ways[j])) continue;
      const uint32_t common = types_of(ways[i]) & types_of(ways[j]) & type_bits(schema, document_);
      if (common != 0) way.push_back(literals_.negated(ways[j]));
    }
    group.push_back(std::move(way));
  }
  s.groups.push_back(std::move(group));
}

void Expander::absorb_dependencies(State& s, const Json& schema) {
  for (const char* keyword : {"dependencies", "dependentRequired", "dependentSchemas"}) {
    const Json* table = table_at(schema, keyword);
    if (table == nullptr || (s.facets.types & kObjectType) == 0) continue;
    for (const auto& [name, needs] : table->items()) {
      Way there{literals_.id({Literal::Kind::has, nullptr, 0, name})};
      if (needs.is_array()) {
        for (const Json& other : needs)
          if (other.is_string())
            there.push_back(
                literals_.id({Literal::Kind::has, nullptr, 0, other.get<std::string>()}));
      } else {
        there.push_back(literals_.schema(needs));
      }
      Group group{{literals_.id({Literal::Kind::lacks, nullptr, 0, name})}, there};
      if ((s.facets.types & ~kObjectType) != 0) {
        for (Way& way : group) way.push_back(literals_.types(kObjectType));
        group.push_back({literals_.types(kAllTypes & ~kObjectType)});
      }
      s.groups.push_back(std::move(group));
    }
  }
}

void Expander::absorb_number(State& s, const Json& schema) {
  Facets& f = s.facets;
  const auto flag = [&](const char* keyword) {
    const Json* value = member_at(schema, keyword);
    return value != nullptr && *value == true;
  };
  const auto bound = [&](const char* keyword, bool lower, bool strict) {
    const Json* value = member_at(schema, keyword);
    if (value != nullptr && value->is_number()) f.bounds.push_back({value, lower, strict});
  };
  bound("minimum", true, flag("exclusiveMinimum"));
  bound("maximum", false, flag("exclusiveMaximum"));
  bound("exclusiveMinimum", true, true);
  bound("exclusiveMaximum", false, true);
  if (const Json* step = member_at(schema, "multipleOf"); step && step->is_number())
    f.multiples.push_back(step);
}

void Expander::absorb_string(State& s, const Json& schema) {
  Facets& f = s.facets;
  f.min_length = std::max(f.min_length, count_at(schema, "minLength", 0));
  if (const int64_t max = count_at(schema, "maxLength", -1); max >= 0)
    f.max_length = f.max_length < 0 ? max : std::min(f.max_length, max);
  if (const Json* pattern = member_at(schema, "pattern"); pattern && pattern->is_string()) {
    document_.place(*pattern, schema, "pattern");
    f.patterns.push_back(pattern);
  }
  const Json* format = member_at(schema, "format");
  if (format == nullptr || !format->is_string()) return;
  if (format_pattern(format->get_ref<const std::string&>()) != nullptr) {
    f.formats.push_back(format);
  } else {
    note(document_.path_of(schema) + "/format: \"" + format->get<std::string>() +
         "\" is not enforced");
  }
}

void Expander::absorb_array(State& s, const Json& schema) {
  Facets& f = s.facets;
  f.min_items = std::max(f.min_items, count_at(schema, "minItems", 0));
  if (const int64_t max = count_at(schema, "maxItems", -1); max >= 0)
    f.max_items = f.max_items < 0 ? max : std::min(f.max_items, max);
  const Json* items = member_at(schema, "items");
  Facets::Items shape;
  shape.prefix = list_at(schema, "prefixItems");
  if (items && items->is_array()) {
    shape.prefix = items;
    shape.rest = schema_at(schema, "additionalItems");
  } else {
    shape.rest = schema_at(schema, "items");
  }
  if (shape.prefix || shape.rest) f.items.push_back(shape);
  if (schema_at(schema, "contains") && document_.draft() > Draft::draft4)
    f.contains.push_back(&schema);
  if (const Json* unique = member_at(schema, "uniqueItems"); unique && *unique == true)
    f.unique = &schema;
  if (const Json* rest = schema_at(schema, "unevaluatedItems");
      rest && !is_trivial(*rest) && document_.draft() >= Draft::draft2019)
    f.unevaluated_items = &schema;
}

void Expander::absorb_object(State& s, const Json& schema) {
  Facets& f = s.facets;
  f.min_properties = std::max(f.min_properties, count_at(schema, "minProperties", 0));
  if (const int64_t max = count_at(schema, "maxProperties", -1); max >= 0)
    f.max_properties = f.max_properties < 0 ? max : std::min(f.max_properties, max);
  if (const Json* required = list_at(schema, "required"))
    for (const Json& name : *required)
      if (name.is_string()) f.required.insert(name.get<std::string>());
  const Json* additional = schema_at(schema, "additionalProperties");
  if (table_at(schema, "properties") || table_at(schema, "patternProperties") ||
      (additional && !is_trivial(*additional)))
    f.objects.push_back(&schema);
  if (const Json* names = schema_at(schema, "propertyNames");
      names && !is_trivial(*names) && document_.draft() > Draft::draft4)
    f.names.push_back(names);
  if (const Json* rest = schema_at(schema, "unevaluatedProperties");
      rest && !is_trivial(*rest) && document_.draft() >= Draft::draft2019)
    f.unevaluated_properties = &schema;
}

}  // namespace lm
