#include "engine/infer/constrain/schema/compiler.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/infer/constrain/char_set.h"
#include "engine/infer/constrain/regex.h"
#include "engine/infer/constrain/schema/formats.h"
#include "engine/infer/constrain/schema/keywords.h"
#include "engine/infer/constrain/schema/numbers.h"

namespace lm {
namespace {

constexpr uint32_t kMaxSpace = 64;  // characters of white space in one place
constexpr size_t kMaxRules = 30000;
constexpr size_t kMaxProblems = 20;

}  // namespace

SchemaCompiler::SchemaCompiler(Grammar& g, SchemaDocument& document,
                               const JsonSchemaOptions& options, std::vector<std::string>& notes)
    : g_(g),
      document_(document),
      options_(options),
      notes_(notes),
      expander_(document, literals_, notes),
      validator_(document) {
  if (options.any_space) {
    ByteSet blank;
    for (const char c : {' ', '\t', '\n', '\r'}) blank.add(static_cast<uint8_t>(c));
    const RuleId rule = g_.add_rule("white space");
    g_.define(rule, g_.repeat(g_.bytes(blank), 0, kMaxSpace));
    space_ = first_space_ = g_.call(rule);
    colon_ = g_.concat({space_, g_.literal(":"), space_});
    comma_ = g_.concat(g_.literal(","), space_);
  } else {
    const ExprId one = g_.optional(g_.literal(" "));
    space_ = first_space_ = kEpsilon;
    colon_ = g_.concat(g_.literal(":"), one);
    comma_ = g_.concat(g_.literal(","), one);
  }
}

void SchemaCompiler::unsupported(const Json& schema, const char* keyword, const char* why) const {
  raise(ErrorCode::unsupported, "{}/{}: {}", document_.path_of(schema), keyword, why);
}

RuleId SchemaCompiler::rule_of(Goal goal) {
  std::erase_if(goal, [&](LiteralId id) {
    return literals_[id].kind == Literal::Kind::schema && Expander::is_trivial(*literals_[id].node);
  });
  std::sort(goal.begin(), goal.end());
  goal.erase(std::unique(goal.begin(), goal.end()), goal.end());
  const auto known = rules_.find(goal);
  if (known != rules_.end()) return known->second;
  LM_CHECK(rules_.size() < kMaxRules, ErrorCode::unsupported,
           "#: more than {} different combinations of schemas; expected fewer", kMaxRules);
  const bool named = !goal.empty() && literals_[goal[0]].node != nullptr;
  const RuleId rule =
      g_.add_rule(named ? document_.path_of(*literals_[goal[0]].node) : "any value");
  rules_.emplace(goal, rule);
  todo_.emplace_back(rule, std::move(goal));
  return rule;
}

RuleId SchemaCompiler::compile() {
  const RuleId root = rule_of({literals_.schema(document_.root())});
  std::vector<std::string> problems;
  while (!todo_.empty()) {
    const auto [rule, goal] = std::move(todo_.back());
    todo_.pop_back();
    try {
      define(rule, goal);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::unsupported || !e.message().starts_with("#")) throw;
      g_.define(rule, kNothing);
      if (std::find(problems.begin(), problems.end(), e.message()) == problems.end())
        problems.push_back(e.message());
      if (problems.size() >= kMaxProblems) break;
    }
  }
  std::string all;
  for (const std::string& problem : problems) all += (all.empty() ? "" : "; ") + problem;
  LM_CHECK(problems.empty(), ErrorCode::unsupported, "schema: {}", all);
  const RuleId start = g_.add_rule("schema");
  g_.define(start, g_.concat(first_space_, g_.call(root)));
  return start;
}

// One expression for all ways: strings are united inside of their quotes, so that free text stays
// free text.
void SchemaCompiler::define(RuleId rule, const Goal& goal) {
  std::vector<ExprId> ways, texts;
  for (const Facets& f : expander_.expand(goal)) {
    if (!f.enums.empty() || !f.constants.empty()) {
      add_values(f, ways);
      continue;
    }
    const auto excluded = [&](const Json& value) {
      return std::any_of(f.excluded.begin(), f.excluded.end(), [&](const auto& e) {
        return e.second ? json_equal(*e.first, value)
                        : std::any_of(e.first->begin(), e.first->end(),
                                      [&](const Json& v) { return json_equal(v, value); });
      });
    };
    if ((f.types & kNullType) && !excluded(Json())) ways.push_back(g_.literal("null"));
    if (f.types & kBooleanType)
      for (const bool b : {false, true})
        if (!excluded(Json(b))) ways.push_back(g_.literal(b ? "true" : "false"));
    if (f.types & kNumberType) ways.push_back(number_expression(g_, f));
    if (f.types & kStringType) texts.push_back(string_text(f));
    if (f.types & kArrayType) ways.push_back(array(f));
    if (f.types & kObjectType) ways.push_back(object(f));
  }
  if (std::find(texts.begin(), texts.end(), any_text(g_)) != texts.end()) texts = {any_text(g_)};
  if (!texts.empty())
    ways.push_back(g_.concat(g_.literal("\""), g_.json_string(g_.alt(std::move(texts)))));
  g_.define(rule, g_.alt(std::move(ways)));
}

void SchemaCompiler::add_values(const Facets& f, std::vector<ExprId>& ways) {
  const auto add = [&](const Json& value) {
    if (holds(f, value)) ways.push_back(value_expression(value));
  };
  if (!f.constants.empty()) return add(*f.constants[0]);
  for (const Json& value : *f.enums[0]) add(value);
}

// A value as JSON, with space where it may be.
ExprId SchemaCompiler::value_expression(const Json& value) {
  if (!value.is_structured()) {
    const std::string text = value.dump();
    if (!value.is_number_float()) return g_.literal(text);
    // 1.0 may be written as 1, which is the same number.
    return text.ends_with(".0") ? g_.concat(g_.literal(text.substr(0, text.size() - 2)),
                                            g_.optional(g_.literal(".0")))
                                : g_.literal(text);
  }
  if (value.is_object()) {
    MembersSpec spec = empty_members();
    for (const auto& [name, member] : value.items()) {
      const RuleId rule = g_.add_rule("value of " + name);
      g_.define(rule, value_expression(member));
      spec.properties.push_back({g_.literal(Json(name).dump()), rule, true});
    }
    return g_.concat({g_.literal("{"), first_space_, members_expression(g_, std::move(spec))});
  }
  ExprId e = g_.literal("[");
  for (size_t i = 0; i < value.size(); ++i) {
    e = i == 0 ? g_.concat(e, first_space_) : g_.concat({e, space_, comma_});
    e = g_.concat(e, value_expression(value[i]));
  }
  return g_.concat({e, space_, g_.literal("]")});
}

MembersSpec SchemaCompiler::empty_members() {
  MembersSpec spec;
  spec.any_order = options_.any_order;
  spec.colon = colon_;
  spec.comma = comma_;
  spec.space = space_;
  spec.close = g_.literal("}");
  return spec;
}

bool SchemaCompiler::holds(const Facets& f, const Json& value) {
  return std::all_of(f.literals.begin(), f.literals.end(),
                     [&](LiteralId id) { return holds(literals_[id], value); });
}

bool SchemaCompiler::holds(const Literal& l, const Json& value) {
  using Kind = Literal::Kind;
  const auto length = [&] {
    return static_cast<int64_t>(count_characters(value.get<std::string>()));
  };
  const auto size = [&] { return static_cast<int64_t>(value.size()); };
  switch (l.kind) {
    case Kind::schema:
      return validator_.valid(*l.node, value);
    case Kind::not_schema:
      return !validator_.valid(*l.node, value);
    case Kind::types:
      return (type_of_value(value) & static_cast<uint32_t>(l.n)) != 0;
    case Kind::has:
      return !value.is_object() || value.contains(l.name);
    case Kind::lacks:
      return !value.is_object() || !value.contains(l.name);
    case Kind::property:
      return !value.is_object() || !value.contains(l.name) ||
             holds(literals_[l.sub], value[l.name]);
    case Kind::exclude:
      if (l.n == 1) return !json_equal(*l.node, value);
      return std::none_of(l.node->begin(), l.node->end(),
                          [&](const Json& v) { return json_equal(v, value); });
    case Kind::min_length:
      return !value.is_string() || length() >= l.n;
    case Kind::max_length:
      return !value.is_string() || length() <= l.n;
    case Kind::not_pattern:
      return !value.is_string() ||
             !validator_.matches(l.node->get<std::string>(), value.get<std::string>());
    case Kind::min_items:
      return !value.is_array() || size() >= l.n;
    case Kind::max_items:
      return !value.is_array() || size() <= l.n;
    case Kind::min_properties:
      return !value.is_object() || size() >= l.n;
    case Kind::max_properties:
      return !value.is_object() || size() <= l.n;
    // What is left is about single numbers and formats: the negated schema itself says it.
    default:
      return true;
  }
}

ExprId SchemaCompiler::pattern_text(const Json& pattern) {
  const auto& text = pattern.get_ref<const std::string&>();
  const auto known = patterns_.find(text);
  if (known != patterns_.end()) return known->second;
  try {
    return patterns_.emplace(text, regex_expression(g_, text, RegexMatch::anywhere)).first->second;
  } catch (const Error& e) {
    const std::string message = document_.path_of(pattern) + ": " + e.message();
    throw Error(e.code(), message.starts_with("#") ? message : "#: " + e.message());
  }
}

ExprId SchemaCompiler::string_text(const Facets& f) {
  std::vector<ExprId> parts;
  for (const Json* pattern : f.patterns) parts.push_back(pattern_text(*pattern));
  for (const Json* pattern : f.not_patterns) parts.push_back(g_.negate(pattern_text(*pattern)));
  const auto format = [&](const Json& name) {
    return regex_expression(g_, format_pattern(name.get_ref<const std::string&>()),
                            RegexMatch::whole);
  };
  for (const Json* name : f.formats) parts.push_back(format(*name));
  for (const Json* name : f.not_formats) parts.push_back(g_.negate(format(*name)));
  const auto exclude = [&](const Json& value) {
    if (value.is_string()) parts.push_back(g_.negate(g_.literal(value.get<std::string>())));
  };
  for (const auto& [node, single] : f.excluded) {
    if (single) {
      exclude(*node);
    } else {
      for (const Json& value : *node) exclude(value);
    }
  }
  const bool limits = f.min_length > 0 || f.max_length >= 0;
  if (limits) {
    const auto max = f.max_length < 0
                         ? kUnbounded
                         : static_cast<uint32_t>(std::min<int64_t>(f.max_length, 1 << 30));
    if (f.max_length >= 0 && f.min_length > f.max_length) return kNothing;
    parts.push_back(g_.repeat(any_char(g_), static_cast<uint32_t>(f.min_length), max));
  }
  const bool positive = !f.patterns.empty() || !f.formats.empty() || limits;
  if (!positive) parts.push_back(any_text(g_));
  return g_.both(std::move(parts));
}

RuleId read_json_schema(Grammar& g, std::string_view schema, const JsonSchemaOptions& options,
                        std::vector<std::string>& notes) {
  SchemaDocument document(schema);
  return SchemaCompiler(g, document, options, notes).compile();
}

}  // namespace lm
