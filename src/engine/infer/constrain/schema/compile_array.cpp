// Arrays.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/infer/constrain/schema/compiler.h"
#include "engine/infer/constrain/schema/keywords.h"

namespace lm {

ExprId SchemaCompiler::array(const Facets& f) {
  if (f.max_items >= 0 && f.min_items > f.max_items) return kNothing;
  if (f.unique && (f.max_items < 0 || f.max_items > 1))
    unsupported(*f.unique, "uniqueItems", "not supported");
  size_t first = 0;
  for (const auto& shape : f.items)
    if (shape.prefix) first = std::max(first, shape.prefix->size());
  const auto goal_at = [&](size_t i) {
    Goal goal;
    for (const auto& shape : f.items) {
      if (shape.prefix && i < shape.prefix->size()) {
        goal.push_back(literals_.schema((*shape.prefix)[i]));
      } else if (shape.rest) {
        goal.push_back(literals_.schema(*shape.rest));
      }
    }
    const bool unevaluated = f.unevaluated_items && i >= first &&
                             std::none_of(f.items.begin(), f.items.end(),
                                          [](const auto& s) { return s.rest != nullptr; });
    if (unevaluated)
      goal.push_back(literals_.schema(*schema_at(*f.unevaluated_items, "unevaluatedItems")));
    return goal;
  };
  ExprId list;
  if (!f.contains.empty()) {
    if (first > 0)
      unsupported(*f.contains[0], "contains", "not supported together with prefixItems");
    list = with_contains(f, goal_at(0));
  } else {
    std::vector<RuleId> rules;
    for (size_t i = 0; i < first; ++i) rules.push_back(rule_of(goal_at(i)));
    list = item_list(f, rules, rule_of(goal_at(first)));
  }
  return g_.concat({g_.literal("["), first_space_, list});
}

// Items up to and with the closing bracket: those with a schema each, then the rest.
ExprId SchemaCompiler::item_list(const Facets& f, const std::vector<RuleId>& first, RuleId rest) {
  const ExprId close = g_.literal("]");
  const auto min = static_cast<uint32_t>(f.min_items);
  const uint32_t max = f.max_items < 0 ? kUnbounded : static_cast<uint32_t>(f.max_items);
  const ExprId separator = g_.concat(space_, comma_);
  const auto n = static_cast<uint32_t>(first.size());
  const auto less = [](uint32_t a, uint32_t b) { return a == kUnbounded ? a : a > b ? a - b : 0; };
  ExprId tail;
  if (n == 0) {
    const ExprId more = g_.repeat(g_.concat(separator, g_.call(rest)), less(min, 1), less(max, 1));
    const ExprId some = max == 0 ? kNothing : g_.concat({g_.call(rest), more, space_, close});
    return min == 0 ? g_.alt({close, some}) : some;
  }
  tail = max < n ? kEpsilon
                 : g_.repeat(g_.concat(separator, g_.call(rest)), less(min, n), less(max, n));
  tail = g_.concat({tail, space_, close});
  const ExprId stop = g_.concat(space_, close);
  for (uint32_t i = n; i-- > 1;) {  // behind item i - 1
    const ExprId more = i >= max ? kNothing : g_.concat({separator, g_.call(first[i]), tail});
    tail = min <= i ? g_.alt({stop, more}) : more;
  }
  const ExprId some = max == 0 ? kNothing : g_.concat(g_.call(first[0]), tail);
  return min == 0 ? g_.alt({close, some}) : some;
}

// Some items among others: any*, then item and any* as often as it must be. With an upper limit the
// others are those that do not count.
ExprId SchemaCompiler::with_contains(const Facets& f, const Goal& rest) {
  const Json& schema = *f.contains[0];
  if (f.contains.size() > 1) unsupported(schema, "contains", "not supported more than once");
  const bool modern = document_.draft() >= Draft::draft2019;
  const int64_t min = modern ? count_at(schema, "minContains", 1) : 1;
  const int64_t max = modern ? count_at(schema, "maxContains", -1) : -1;
  if (min == 0 && max < 0) return item_list(f, {}, rule_of(rest));
  if (f.min_items > std::max<int64_t>(min, 1) || f.max_items >= 0)
    unsupported(schema, "contains", "not supported together with minItems or maxItems");
  if (max >= 0 && max < min) return kNothing;
  Goal yes = rest, no = rest;
  yes.push_back(literals_.schema(*schema_at(schema, "contains")));
  if (max >= 0) no.push_back(literals_.negated(*schema_at(schema, "contains")));
  const ExprId item = g_.call(rule_of(yes)), other = g_.call(rule_of(no));
  // Each with a comma before it; the first item of all has none.
  const ExprId separator = g_.concat(space_, comma_);
  const ExprId others = g_.repeat(g_.concat(separator, other), 0, kUnbounded);
  const ExprId counted = g_.concat(g_.concat(separator, item), others);
  const auto times = [&](int64_t less) {
    return g_.repeat(
        counted, static_cast<uint32_t>(std::max<int64_t>(min - less, 0)),
        max < 0 ? kUnbounded : static_cast<uint32_t>(std::max<int64_t>(max - less, 0)));
  };
  std::vector<ExprId> ways;
  if (max != 0) ways.push_back(g_.concat({item, others, times(1)}));
  ways.push_back(g_.concat({other, others, times(0)}));
  ExprId list = g_.concat({g_.alt(std::move(ways)), space_, g_.literal("]")});
  if (min == 0) list = g_.alt({list, g_.literal("]")});
  return list;
}

}  // namespace lm
