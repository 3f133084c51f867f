// The checks between building a grammar and using it.
#include "engine/core/error.h"
#include "engine/infer/constrain/grammar.h"

namespace lm {

void Grammar::finish(RuleId start) {
  for (const Rule& rule : rules_)
    LM_CHECK(rule.defined, ErrorCode::bad_option,
             "constraint: the rule \"{}\" is used but not defined", rule.name);
  for (RuleId r = 0; r < rules_.size(); ++r) remove_left_recursion(r);
  find_nullable_rules();
  find_productive_rules();
  finished_ = true;
  for (auto& p : productive_)
    if (p == 0) p = -1;
  calls_.clear();
  check_left_recursion();
  LM_CHECK(productive_rules_[start], ErrorCode::bad_option,
           "constraint: no text satisfies it; expected one that can be satisfied");
}

// A = A x | y becomes A = y x*.
void Grammar::remove_left_recursion(RuleId rule) {
  const ExprId body = rules_[rule].body, self = call(rule);
  std::vector<ExprId> ways{body}, loops, others;
  if (nodes_[body].kind == Kind::alt) ways.assign(words(body).begin(), words(body).end());
  for (const ExprId way : ways) {
    if (way == self) continue;
    if (nodes_[way].kind == Kind::concat && words(way)[0] == self) {
      loops.push_back(words(way)[1]);
    } else {
      others.push_back(way);
    }
  }
  if (!loops.empty()) rules_[rule].body = concat(alt(others), repeat(alt(loops), 0, kUnbounded));
}

void Grammar::find_nullable_rules() {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < 2 * rules_.size(); ++i) {  // there and back: chains of rules are long
      Rule& rule = rules_[i < rules_.size() ? i : 2 * rules_.size() - 1 - i];
      if (rule.nullable || !find_nullable(rule.body)) continue;
      rule.nullable = changed = true;
    }
    work(rules_.size());
  }
}

void Grammar::find_productive_rules() {
  productive_rules_.assign(rules_.size(), false);
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i < 2 * rules_.size(); ++i) {
      const size_t r = i < rules_.size() ? i : 2 * rules_.size() - 1 - i;
      if (productive_rules_[r] || !productive(rules_[r].body)) continue;
      productive_rules_[r] = changed = true;
    }
    work(rules_.size());
  }
}

// A rule must not come back to itself before it has read a byte.
void Grammar::check_left_recursion() {
  std::vector<uint8_t> state(rules_.size());  // 1: on the path, 2: done
  std::vector<std::pair<RuleId, size_t>> path;
  for (RuleId first = 0; first < rules_.size(); ++first) {
    if (state[first] != 0 || !productive_rules_[first]) continue;
    path.emplace_back(first, 0);
    state[first] = 1;
    while (!path.empty()) {
      const RuleId rule = path.back().first;
      const auto& next = calls(rules_[rule].body);
      if (path.back().second == next.size()) {
        state[rule] = 2;
        path.pop_back();
        continue;
      }
      const RuleId to = next[path.back().second++].rule;
      LM_CHECK(state[to] != 1, ErrorCode::bad_option,
               "constraint: the rule \"{}\" calls itself before it has read anything; expected a "
               "grammar without left recursion",
               rules_[to].name);
      if (state[to] != 0) continue;
      state[to] = 1;
      path.emplace_back(to, 0);
    }
  }
}

}  // namespace lm
