// The parser: what a text may go on with, as a set of (expression, set that follows it). Sets are
// hash-consed, so equal situations are the same number, and stacks share their lower parts.
//
// A set is a state of the parser (each item: this expression now, and behind it one of that set)
// and also what a rule returns to. In normal form no two items have the same expression: their
// rests are united, which keeps ambiguous grammars polynomial.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/infer/constrain/grammar.h"

namespace lm {

using SetId = uint32_t;
inline constexpr SetId kDead = 0;  // no way to go on
inline constexpr SetId kEnd = 1;   // {done}: the text is complete, and nothing may follow

class Machine {
 public:
  struct Item {
    ExprId expr;
    SetId rest;
    auto operator<=>(const Item&) const = default;
  };

  Machine(std::unique_ptr<Grammar> grammar, RuleId start);

  SetId start() const { return start_; }
  SetId step(SetId state, uint8_t byte);
  // Whether the text may end here.
  bool may_end(SetId state) const { return sets_[state].ends; }
  const std::vector<Item>& items(SetId state) const { return sets_[state].items; }
  // The bytes that may come next.
  ByteSet live(SetId state);

  // The state of having this expression before the end, as it is and with its calls and end opened.
  SetId only(ExprId e) { return intern({{e, kEnd}}); }
  SetId opened(ExprId e) { return closure(e, kEnd); }

  Grammar& grammar() { return *grammar_; }
  // Forgets what can be computed again.
  void trim();
  size_t bytes() const { return bytes_; }

  static constexpr size_t kMaxSets = 1'000'000;
  static constexpr uint32_t kMaxStack = 2000;

 private:
  struct Set {
    std::vector<Item> items;  // sorted; done, if there, is the first
    std::unique_ptr<std::array<SetId, 256>> next;
    uint32_t depth = 0;
    bool ends = false;
  };
  SetId intern(std::vector<Item> items);
  SetId unite(SetId a, SetId b);
  SetId closure(ExprId e, SetId rest);
  SetId compute_step(SetId state, uint8_t byte);

  std::unique_ptr<Grammar> grammar_;
  SetId start_ = kDead;
  std::vector<Set> sets_;
  std::unordered_multimap<uint64_t, SetId> by_hash_;
  std::unordered_map<uint64_t, SetId> closures_, unions_;
  size_t bytes_ = 0;
};

}  // namespace lm
