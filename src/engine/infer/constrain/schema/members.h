// The members of a JSON object behind its brace, up to and with the closing one: an expression
// whose state is which properties were there and how many.
#pragma once

#include <memory>
#include <vector>

#include "engine/infer/constrain/grammar.h"

namespace lm {

struct MembersSpec {
  struct Member {
    ExprId key;  // with its quotes: a literal, or a call
    RuleId value;
    bool required = false;
  };
  std::vector<Member> properties;  // each at most once
  std::vector<Member> others;      // kinds of keys that may come any number of times
  uint32_t min = 0, max = kUnbounded;
  bool any_order = true;
  ExprId colon = kNothing, comma = kNothing,
         close = kNothing;  // with the space before them or behind
  ExprId space = kNothing;  // behind a value
};

// Adds the generator and returns the expression behind "{" and space.
ExprId members_expression(Grammar& g, MembersSpec spec);

}  // namespace lm
