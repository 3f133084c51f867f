// Free text around markers such as "<tool_call>". A marker may be, or contain, the name of a
// control token, which is then read as that token too. One that begins with a newline also stands
// at the very beginning of the text, behind white space, without it.
#pragma once

#include <string>
#include <vector>

#include "engine/infer/constrain/grammar.h"

namespace lm {

class Tokenizer;

// The marker itself; tokenizer: null where none is known. Throws bad_option for an empty one.
ExprId marker_expression(Grammar& g, const std::string& text, const Tokenizer* tokenizer);
// Characters up to the first of the markers, and that marker.
ExprId text_until(Grammar& g, const std::vector<std::string>& markers, const Tokenizer* tokenizer);
// Characters, none of the markers among them.
ExprId text_without(Grammar& g, const std::vector<std::string>& markers,
                    const Tokenizer* tokenizer);

}  // namespace lm
