// Objects.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/infer/constrain/char_set.h"
#include "engine/infer/constrain/regex.h"
#include "engine/infer/constrain/schema/compiler.h"
#include "engine/infer/constrain/schema/keywords.h"

namespace lm {
namespace {

constexpr size_t kMaxPatterns = 7;  // whose combinations are looked at

}  // namespace

ExprId SchemaCompiler::object(const Facets& f) {
  if (f.max_properties >= 0 && f.min_properties > f.max_properties) return kNothing;
  MembersSpec spec = empty_members();
  spec.min = static_cast<uint32_t>(f.min_properties);
  spec.max = f.max_properties < 0 ? kUnbounded : static_cast<uint32_t>(f.max_properties);
  const ExprId names = name_texts(f);
  const auto known = property_names(f);
  add_properties(f, spec, names, known);
  add_other_keys(f, spec, names, known);
  return g_.concat({g_.literal("{"), first_space_, members_expression(g_, std::move(spec))});
}

// The names that any schema speaks of, in the order in which they are written.
std::vector<std::string> SchemaCompiler::property_names(const Facets& f) {
  std::vector<std::string> names;
  std::set<std::string> seen;
  const auto add = [&](const std::string& name) {
    if (seen.insert(name).second) names.push_back(name);
  };
  for (auto it = f.objects.begin(); it != f.objects.end(); ++it)
    if (const Json* table = table_at(**it, "properties"))
      for (const auto& [name, schema] : table->items()) add(name);
  for (const std::string& name : f.required) add(name);
  for (const std::string& name : f.lacks) add(name);
  for (const auto& [name, literal] : f.members) add(name);
  return names;
}

// The texts that propertyNames leaves; kAnything for all.
ExprId SchemaCompiler::name_texts(const Facets& f) {
  std::vector<ExprId> parts;
  for (const Json* schema : f.names) {
    std::vector<ExprId> ways;
    const LiteralId string = literals_.types(kStringType);
    for (const Facets& name : expander_.expand({literals_.schema(*schema), string})) {
      if (name.enums.empty() && name.constants.empty()) {
        ways.push_back(string_text(name));
        continue;
      }
      const auto add = [&](const Json& value) {
        if (value.is_string() && holds(name, value))
          ways.push_back(g_.literal(value.get<std::string>()));
      };
      if (!name.constants.empty())
        add(*name.constants[0]);
      else
        for (const Json& value : *name.enums[0]) add(value);
    }
    parts.push_back(g_.alt(std::move(ways)));
  }
  return g_.both(std::move(parts));
}

Goal SchemaCompiler::goal_of_property(const Facets& f, const std::string& name) {
  Goal goal;
  bool evaluated = false;
  for (const Json* schema : f.objects) {
    bool known = false;
    if (const Json* table = table_at(*schema, "properties"); table && table->contains(name)) {
      known = true;
      goal.push_back(literals_.schema((*table)[name]));
    }
    if (const Json* table = table_at(*schema, "patternProperties"))
      for (const auto& [pattern, value] : table->items()) {
        if (!g_.matches(pattern_text(Json(pattern)), name)) continue;
        known = true;
        goal.push_back(literals_.schema(value));
      }
    const Json* rest = schema_at(*schema, "additionalProperties");
    if (!known && rest) {
      goal.push_back(literals_.schema(*rest));
      known = true;
    }
    evaluated = evaluated || known;
  }
  if (f.unevaluated_properties && !evaluated)
    goal.push_back(
        literals_.schema(*schema_at(*f.unevaluated_properties, "unevaluatedProperties")));
  for (const auto& [member, literal] : f.members)
    if (member == name) goal.push_back(literal);
  return goal;
}

void SchemaCompiler::add_properties(const Facets& f, MembersSpec& spec, ExprId names,
                                    const std::vector<std::string>& known) {
  for (const std::string& name : known) {
    const bool required = f.required.contains(name);
    const bool forbidden = f.lacks.contains(name) || !g_.matches(names, name);
    if (forbidden && !required) continue;
    Goal goal = goal_of_property(f, name);
    const bool never =
        forbidden || std::any_of(goal.begin(), goal.end(), [&](LiteralId id) {
          const Literal& l = literals_[id];
          return l.kind == Literal::Kind::schema && l.node->is_boolean() && !l.node->get<bool>();
        });
    if (never && !required) continue;
    MembersSpec::Member member;
    member.key = never ? kNothing : g_.literal(Json(name).dump());
    member.value = rule_of(never ? Goal{literals_.types(0)} : std::move(goal));
    member.required = required;
    spec.properties.push_back(member);
  }
}

RuleId SchemaCompiler::key_rule(ExprId text) {
  const auto [it, added] = key_rules_.emplace(text, 0);
  if (added) {
    it->second = g_.add_rule("property name");
    g_.define(it->second, g_.concat(g_.literal("\""), g_.json_string(text)));
  }
  return it->second;
}

// All other names fall into cells by the patterns that they match; each cell has its own values.
void SchemaCompiler::add_other_keys(const Facets& f, MembersSpec& spec, ExprId names,
                                    const std::vector<std::string>& known) {
  std::vector<std::string> patterns;
  for (const Json* schema : f.objects)
    if (const Json* table = table_at(*schema, "patternProperties"))
      for (const auto& [pattern, value] : table->items())
        if (std::find(patterns.begin(), patterns.end(), pattern) == patterns.end())
          patterns.push_back(pattern);
  if (patterns.size() > kMaxPatterns)
    unsupported(*f.objects[0], "patternProperties", "more than 7 patterns together");
  std::vector<ExprId> common{any_text(g_), names}, literals;
  for (const std::string& name : known) literals.push_back(g_.literal(name));
  common.push_back(g_.negate(g_.alt(std::move(literals))));
  for (uint32_t cell = 0; cell < 1u << patterns.size(); ++cell) {
    Goal goal;
    bool never = false, evaluated = false;
    const auto add = [&](const Json& schema) {
      never = never || (schema.is_boolean() && !schema.get<bool>());
      goal.push_back(literals_.schema(schema));
    };
    for (const Json* schema : f.objects) {
      bool matched = false;
      const Json* table = table_at(*schema, "patternProperties");
      for (size_t i = 0; table && i < patterns.size(); ++i) {
        if ((cell >> i & 1) == 0 || !table->contains(patterns[i])) continue;
        matched = true;
        add((*table)[patterns[i]]);
      }
      const Json* rest = schema_at(*schema, "additionalProperties");
      if (!matched && rest) add(*rest);
      evaluated = evaluated || matched || rest != nullptr;
    }
    if (f.unevaluated_properties && !evaluated)
      add(*schema_at(*f.unevaluated_properties, "unevaluatedProperties"));
    if (never) continue;
    std::vector<ExprId> parts = common;
    for (size_t i = 0; i < patterns.size(); ++i) {
      const ExprId text = pattern_text(Json(patterns[i]));
      parts.push_back((cell >> i & 1) != 0 ? text : g_.negate(text));
    }
    const ExprId text = g_.both(std::move(parts));
    if (!g_.productive(text)) continue;
    spec.others.push_back({g_.call(key_rule(text)), rule_of(std::move(goal))});
  }
}

}  // namespace lm
