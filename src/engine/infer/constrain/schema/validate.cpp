#include "engine/infer/constrain/schema/validate.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/infer/constrain/regex.h"
#include "engine/infer/constrain/schema/validate_call.h"
#include "engine/text/regex.h"

namespace lm {
namespace {

constexpr int kMaxDepth = 400;
constexpr size_t kMaxSteps = 20'000'000;

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

int64_t count_of(const Json& schema, const char* keyword) {
  const Json* value = member_at(schema, keyword);
  if (value == nullptr || !value->is_number()) return -1;
  const double number = value->get<double>();
  return number < 0 ? -1 : number > 1e15 ? int64_t{1} << 50 : static_cast<int64_t>(number);
}

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

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

Validator::Validator(const SchemaDocument& document, bool formats)
    : document_(document), formats_(formats), patterns_(std::make_unique<PatternCache>()) {}
Validator::~Validator() = default;

bool Validator::matches(const std::string& pattern, const std::string& text) {
  return patterns_->matches(pattern, text, RegexMatch::anywhere);
}

bool Validator::is_match(const std::string& pattern, const std::string& text) {
  return patterns_->matches(pattern, text, RegexMatch::whole);
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
  if (const Json* ref = member_at(schema, "$ref"); ref && document_.draft() < Draft::draft2019)
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
  if (const Json* type = member_at(schema, "type")) {
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
  if (const Json* values = member_at(schema, "enum"); values && values->is_array()) {
    if (std::none_of(values->begin(), values->end(),
                     [&](const Json& v) { return json_equal(v, value); }))
      good = fail(schema, "enum", call,
                  fmt::format("{}; expected one of {}", shown(value), shown(*values)));
  }
  if (const Json* only = member_at(schema, "const");
      only && document_.draft() > Draft::draft4 && !json_equal(*only, value))
    good = fail(schema, "const", call, fmt::format("{}; expected {}", shown(value), shown(*only)));
  return good;
}

bool Validator::check_reference(const Json& schema, const Json& value, Call& call) {
  const Json* ref = member_at(schema, "$ref");
  if (ref == nullptr || !ref->is_string()) return true;
  const auto target = document_.resolve(schema, ref->get_ref<const std::string&>());
  return beside(*target.schema, value, call);
}

// $dynamicRef, $recursiveRef: the outermost resource in the dynamic scope that has the anchor.
bool Validator::check_dynamic(const Json& schema, const Json& value, Call& call) {
  const bool recursive = document_.draft() == Draft::draft2019;
  const Json* ref = member_at(schema, recursive ? "$recursiveRef" : "$dynamicRef");
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
  if (const Json* all = member_at(schema, "allOf"); all && all->is_array())
    for (const Json& s : *all) good = beside(s, value, call) && good;
  for (const char* keyword : {"anyOf", "oneOf"}) {
    const Json* ways = member_at(schema, keyword);
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
  if (const Json* no = member_at(schema, "not")) {
    Call inner{nullptr, call.path, {}};
    if (check(*no, value, inner))
      good = fail(schema, "not", call, fmt::format("{} satisfies what it must not", shown(value)));
  }
  return check_condition(schema, value, call) && good;
}

bool Validator::check_condition(const Json& schema, const Json& value, Call& call) {
  const Json* condition = member_at(schema, "if");
  if (condition == nullptr || document_.draft() < Draft::draft7) return true;
  Call inner{nullptr, call.path, {}};
  const bool holds = check(*condition, value, inner);
  if (holds) call.seen.add(inner.seen);
  const Json* then = member_at(schema, holds ? "then" : "else");
  return then == nullptr || beside(*then, value, call);
}

}  // namespace lm
