#include "engine/infer/constrain/schema/validate.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/core/error.h"
#include "engine/infer/constrain/regex.h"
#include "engine/infer/constrain/schema/decimal.h"
#include "engine/infer/constrain/schema/formats.h"
#include "engine/text/regex.h"

namespace lm {
namespace {

constexpr int kMaxDepth = 400;
constexpr size_t kMaxSteps = 20'000'000;

const Json* find(const Json& schema, const char* keyword) {
  const auto it = schema.find(keyword);
  return it == schema.end() ? nullptr : &*it;
}

// A count such as maxLength, or -1 when the keyword is absent or no number.
int64_t count_of(const Json& schema, const char* keyword) {
  const Json* value = find(schema, keyword);
  if (value == nullptr || !value->is_number()) return -1;
  const double number = value->get<double>();
  return number < 0 ? -1 : number > 1e15 ? int64_t{1} << 50 : static_cast<int64_t>(number);
}

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

bool is_integer(const Json& value, Draft draft) {
  if (value.is_number_integer()) return true;
  if (!value.is_number_float() || draft == Draft::draft4) return false;
  const double number = value.get<double>();
  return std::isfinite(number) && number == std::floor(number);
}

bool has_type(const Json& value, std::string_view type, Draft draft) {
  if (type == "integer") return is_integer(value, draft);
  if (type == "number") return value.is_number();
  return type == value.type_name();  // "null", "boolean", "string", "array", "object"
}

}  // namespace

// Compiled patterns; those that no automaton can have go to PCRE2.
class PatternCache {
 public:
  bool matches(const std::string& pattern, const std::string& text, RegexMatch match) {
    auto [it, added] = known_.try_emplace({pattern, match});
    Entry& entry = it->second;
    if (added) {
      auto grammar = std::make_unique<Grammar>();
      try {
        entry.expr = regex_expression(*grammar, pattern, match);
        entry.grammar = std::move(grammar);
      } catch (const Error& e) {
        if (e.code() != ErrorCode::unsupported) {
          known_.erase(it);
          throw;
        }
        entry.regex = std::make_unique<Regex>(pattern);
      }
    }
    if (entry.grammar) {
      entry.grammar->start_work();
      return entry.grammar->matches(entry.expr, text);
    }
    bool found = false;
    entry.regex->find_all(text, [&](size_t, size_t) { found = true; });
    return found;
  }

 private:
  struct Entry {
    std::unique_ptr<Grammar> grammar;
    ExprId expr = kNothing;
    std::unique_ptr<Regex> regex;
  };
  std::map<std::pair<std::string, RegexMatch>, Entry> known_;
};

// What subschemas have looked at (draft 2020-12, core, section 11).
struct Validator::Seen {
  std::set<std::string> properties;
  std::set<size_t> items;
  bool all_properties = false, all_items = false;
  size_t items_below = 0;
  void add(const Seen& o) {
    properties.insert(o.properties.begin(), o.properties.end());
    items.insert(o.items.begin(), o.items.end());
    all_properties |= o.all_properties;
    all_items |= o.all_items;
    items_below = std::max(items_below, o.items_below);
  }
};

struct Validator::Call {
  std::vector<JsonProblem>* problems;
  std::string path;
  Seen seen;
};

Validator::Validator(const SchemaDocument& document, bool formats)
    : document_(document), formats_(formats), patterns_(std::make_unique<PatternCache>()) {}
Validator::~Validator() = default;

bool Validator::matches(const std::string& pattern, const std::string& text) {
  return patterns_->matches(pattern, text, RegexMatch::anywhere);
}

bool Validator::valid(const Json& schema, const Json& value, std::vector<JsonProblem>* problems) {
  steps_ = 0;
  scope_.assign(1, document_.resource_of(schema));
  Call call{problems, "", {}};
  return check(schema, value, call);
}

bool Validator::fail(const Json& schema, const char* keyword, Call& call, std::string message) {
  if (call.problems != nullptr && call.problems->size() < 100)
    call.problems->push_back({call.path,
                              document_.path_of(schema) + (*keyword ? "/" : "") + keyword,
                              std::move(message)});
  return false;
}

// A part of the value: what it has looked at is its own.
bool Validator::child(const Json& schema, const Json& value, Call& call, const std::string& step) {
  Call inner{call.problems, call.path + "/" + step, {}};
  return check(schema, value, inner);
}

// Another schema for the same value: it does not see what its neighbours have looked at.
bool Validator::beside(const Json& schema, const Json& value, Call& call) {
  Call inner{call.problems, call.path, {}};
  const bool good = check(schema, value, inner);
  if (good) call.seen.add(inner.seen);
  return good;
}

bool Validator::check(const Json& schema, const Json& value, Call& call) {
  if (schema.is_boolean())
    return schema.get<bool>() || fail(schema, "", call, "nothing is allowed here");
  LM_CHECK(schema.is_object(), ErrorCode::bad_option,
           "schema: {}: {}; expected an object or boolean", document_.path_of(schema),
           schema.type_name());
  LM_CHECK(++steps_ < kMaxSteps, ErrorCode::unsupported,
           "validate: more than {} steps; expected a simpler schema", kMaxSteps);
  LM_CHECK(depth_ < kMaxDepth, ErrorCode::bad_option,
           "schema: {}: references that nest deeper than {} levels; expected none that lead to "
           "themselves",
           document_.path_of(schema), kMaxDepth);
  ++depth_;
  const Json* resource = document_.resource_of(schema);
  const bool entered = scope_.empty() || scope_.back() != resource;
  if (entered) scope_.push_back(resource);
  struct Leave {
    Validator& v;
    bool pop;
    ~Leave() {
      --v.depth_;
      if (pop) v.scope_.pop_back();
    }
  } leave{*this, entered};
  if (const Json* ref = find(schema, "$ref"); ref && document_.draft() < Draft::draft2019)
    return check_reference(schema, value, call);
  // All of them, so that every problem is reported.
  bool good = check_keywords(schema, value, call);
  good = check_applicators(schema, value, call) && good;
  if (value.is_number()) good = check_number(schema, value, call) && good;
  if (value.is_string()) good = check_string(schema, value, call) && good;
  if (value.is_array()) good = check_array(schema, value, call) && good;
  if (value.is_object()) good = check_object(schema, value, call) && good;
  return check_unevaluated(schema, value, call) && good;
}

bool Validator::check_keywords(const Json& schema, const Json& value, Call& call) {
  bool good = true;
  if (const Json* type = find(schema, "type")) {
    bool any = false;
    const auto one = [&](const Json& t) {
      any = any ||
            (t.is_string() && has_type(value, t.get_ref<const std::string&>(), document_.draft()));
    };
    if (type->is_array()) {
      for (const Json& t : *type) one(t);
    } else {
      one(*type);
    }
    if (!any)
      good = fail(schema, "type", call,
                  fmt::format("{}; expected the type {}", shown(value), shown(*type)));
  }
  if (const Json* values = find(schema, "enum"); values && values->is_array()) {
    if (std::none_of(values->begin(), values->end(),
                     [&](const Json& v) { return json_equal(v, value); }))
      good = fail(schema, "enum", call,
                  fmt::format("{}; expected one of {}", shown(value), shown(*values)));
  }
  if (const Json* only = find(schema, "const");
      only && document_.draft() > Draft::draft4 && !json_equal(*only, value))
    good = fail(schema, "const", call, fmt::format("{}; expected {}", shown(value), shown(*only)));
  return good;
}

bool Validator::check_reference(const Json& schema, const Json& value, Call& call) {
  const Json* ref = find(schema, "$ref");
  if (ref == nullptr || !ref->is_string()) return true;
  const auto target = document_.resolve(schema, ref->get_ref<const std::string&>());
  return beside(*target.schema, value, call);
}

// $dynamicRef, $recursiveRef: the outermost resource in the dynamic scope that has the anchor.
bool Validator::check_dynamic(const Json& schema, const Json& value, Call& call) {
  const bool recursive = document_.draft() == Draft::draft2019;
  const Json* ref = find(schema, recursive ? "$recursiveRef" : "$dynamicRef");
  if (ref == nullptr || !ref->is_string()) return true;
  const auto& text = ref->get_ref<const std::string&>();
  const auto target = document_.resolve(schema, text);
  const Json* to = target.schema;
  const size_t hash = text.find('#');
  const std::string name = hash == text.npos ? "" : text.substr(hash + 1);
  if ((recursive || !name.empty()) && document_.dynamic_anchor(*target.resource, name) == to)
    for (const Json* resource : scope_)
      if (const Json* outer = document_.dynamic_anchor(*resource, name)) {
        to = outer;
        break;
      }
  return beside(*to, value, call);
}

bool Validator::check_applicators(const Json& schema, const Json& value, Call& call) {
  bool good = check_reference(schema, value, call);
  if (document_.draft() >= Draft::draft2019) good = check_dynamic(schema, value, call) && good;
  if (const Json* all = find(schema, "allOf"); all && all->is_array())
    for (const Json& s : *all) good = beside(s, value, call) && good;
  for (const char* keyword : {"anyOf", "oneOf"}) {
    const Json* ways = find(schema, keyword);
    if (ways == nullptr || !ways->is_array()) continue;
    size_t n = 0;
    std::vector<JsonProblem> first;
    for (const Json& s : *ways) {
      Call inner{call.problems && ways->size() == 1 ? call.problems : nullptr, call.path, {}};
      if (!check(s, value, inner)) continue;
      ++n;
      call.seen.add(inner.seen);
    }
    if (n == 0)
      good = fail(schema, keyword, call,
                  fmt::format("{} satisfies none of the {} schemas", shown(value), ways->size()));
    if (n > 1 && keyword[0] == 'o')
      good = fail(schema, keyword, call,
                  fmt::format("{} satisfies {} of the schemas; expected one", shown(value), n));
  }
  if (const Json* no = find(schema, "not")) {
    Call inner{nullptr, call.path, {}};
    if (check(*no, value, inner))
      good = fail(schema, "not", call, fmt::format("{} satisfies what it must not", shown(value)));
  }
  return check_condition(schema, value, call) && good;
}

bool Validator::check_condition(const Json& schema, const Json& value, Call& call) {
  const Json* condition = find(schema, "if");
  if (condition == nullptr || document_.draft() < Draft::draft7) return true;
  Call inner{nullptr, call.path, {}};
  const bool holds = check(*condition, value, inner);
  if (holds) call.seen.add(inner.seen);
  const Json* then = find(schema, holds ? "then" : "else");
  return then == nullptr || beside(*then, value, call);
}

bool Validator::check_number(const Json& schema, const Json& value, Call& call) {
  bool good = true;
  const Decimal number = Decimal::of(value);
  const auto bound = [&](const char* keyword, int sign, bool strict) {
    const Json* limit = find(schema, keyword);
    if (limit == nullptr || !limit->is_number()) return;
    const int order = number.compare(Decimal::of(*limit)) * sign;
    if (order > 0 || (order == 0 && !strict)) return;
    good =
        fail(schema, keyword, call,
             fmt::format("{}; expected {}{} {}", shown(value), sign > 0 ? "more than" : "less than",
                         strict ? "" : " or equal to", shown(*limit)));
  };
  const auto is_true = [&](const char* keyword) {
    const Json* flag = find(schema, keyword);
    return flag != nullptr && *flag == true;
  };
  bound("minimum", 1, is_true("exclusiveMinimum"));
  bound("maximum", -1, is_true("exclusiveMaximum"));
  bound("exclusiveMinimum", 1, true);
  bound("exclusiveMaximum", -1, true);
  if (const Json* step = find(schema, "multipleOf"); step && step->is_number()) {
    if (!number.is_multiple_of(Decimal::of(*step)))
      good = fail(schema, "multipleOf", call,
                  fmt::format("{}; expected a multiple of {}", shown(value), shown(*step)));
  }
  return good;
}

bool Validator::check_string(const Json& schema, const Json& value, Call& call) {
  const auto& text = value.get_ref<const std::string&>();
  bool good = true;
  const int64_t min = count_of(schema, "minLength"), max = count_of(schema, "maxLength");
  if (min >= 0 || max >= 0) {
    const auto length = static_cast<int64_t>(count_characters(text));
    if (length < min)
      good = fail(schema, "minLength", call,
                  fmt::format("a text of {} characters; expected at least {}", length, min));
    if (max >= 0 && length > max)
      good = fail(schema, "maxLength", call,
                  fmt::format("a text of {} characters; expected at most {}", length, max));
  }
  if (const Json* pattern = find(schema, "pattern"); pattern && pattern->is_string()) {
    if (!matches(pattern->get_ref<const std::string&>(), text))
      good = fail(schema, "pattern", call,
                  fmt::format("{}; expected a match of {}", shown(value), shown(*pattern)));
  }
  if (const Json* format = find(schema, "format"); formats_ && format && format->is_string()) {
    const char* pattern = format_pattern(format->get_ref<const std::string&>());
    if (pattern != nullptr && !patterns_->matches(pattern, text, RegexMatch::whole))
      good = fail(schema, "format", call,
                  fmt::format("{}; expected the format {}", shown(value), shown(*format)));
  }
  return good;
}

bool Validator::check_array(const Json& schema, const Json& value, Call& call) {
  bool good = true;
  const auto size = static_cast<int64_t>(value.size());
  const int64_t min = count_of(schema, "minItems"), max = count_of(schema, "maxItems");
  if (size < min)
    good = fail(schema, "minItems", call, fmt::format("{} items; expected at least {}", size, min));
  if (max >= 0 && size > max)
    good = fail(schema, "maxItems", call, fmt::format("{} items; expected at most {}", size, max));
  if (const Json* unique = find(schema, "uniqueItems"); unique && *unique == true) {
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
  const Json* items = find(schema, "items");
  const Json* prefix = find(schema, modern ? "prefixItems" : "items");
  const Json* rest = modern                       ? items
                     : items && items->is_array() ? find(schema, "additionalItems")
                                                  : items;
  if (modern && items &&
      items->is_array()) {  // the old form, which many schemas without $schema use
    prefix = items;
    rest = find(schema, "additionalItems");
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
  const Json* contains = find(schema, "contains");
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
  if (const Json* required = find(schema, "required"); required && required->is_array())
    for (const Json& name : *required)
      if (name.is_string() && !value.contains(name.get_ref<const std::string&>()))
        good =
            fail(schema, "required", call, fmt::format("the property {} is missing", shown(name)));
  const Json* properties = find(schema, "properties");
  const Json* patterns = find(schema, "patternProperties");
  const Json* additional = find(schema, "additionalProperties");
  const Json* names = document_.draft() > Draft::draft4 ? find(schema, "propertyNames") : nullptr;
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
    const Json* table = find(schema, keyword);
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
  if (const Json* rest = find(schema, "unevaluatedProperties"); rest && value.is_object()) {
    if (!call.seen.all_properties)
      for (const auto& [name, member] : value.items())
        if (!call.seen.properties.contains(name)) good = child(*rest, member, call, name) && good;
    call.seen.all_properties = true;
  }
  if (const Json* rest = find(schema, "unevaluatedItems"); rest && value.is_array()) {
    if (!call.seen.all_items)
      for (size_t i = call.seen.items_below; i < value.size(); ++i)
        if (!call.seen.items.contains(i))
          good = child(*rest, value[i], call, std::to_string(i)) && good;
    call.seen.all_items = true;
  }
  return good;
}

bool json_equal(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return Decimal::of(a).compare(Decimal::of(b)) == 0;
  if (a.type() != b.type() || a.size() != b.size()) return false;
  if (a.is_array()) {
    for (size_t i = 0; i < a.size(); ++i)
      if (!json_equal(a[i], b[i])) return false;
    return true;
  }
  if (a.is_object()) {
    for (const auto& [name, member] : a.items()) {
      const auto other = b.find(name);
      if (other == b.end() || !json_equal(member, *other)) return false;
    }
    return true;
  }
  return a == b;
}

size_t count_characters(const std::string& text) {
  size_t n = 0;
  for (const char c : text) n += (static_cast<uint8_t>(c) & 0xC0) != 0x80;
  return n;
}

std::vector<JsonProblem> validate_json(std::string_view value, std::string_view schema,
                                       const JsonValidateOptions& options) {
  const SchemaDocument document(schema, options.others);
  const auto parsed = parse_json(value, "value");
  std::vector<JsonProblem> problems;
  Validator(document, options.formats).valid(document.root(), *parsed, &problems);
  return problems;
}

}  // namespace lm
