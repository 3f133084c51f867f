// Regular expressions as expressions of a grammar: the syntax that ECMAScript (with the flag u),
// PCRE and Python share, over Unicode characters. Lookahead is read as an intersection with what
// follows; lazy quantifiers mean the same texts as greedy ones. Not supported, with an error that
// says so: backreferences, lookbehind, word boundaries, atomic groups, recursion.
#pragma once

#include <string_view>

#include "engine/infer/constrain/grammar.h"

namespace lm {

enum class RegexMatch : uint8_t {
  whole,    // the text is one match, as with fullmatch
  anywhere  // the text contains a match, as the keyword `pattern` of JSON Schema means it
};

// Throws bad_option or unsupported, with the position in the pattern.
ExprId regex_expression(Grammar& g, std::string_view pattern, RegexMatch match);

}  // namespace lm
