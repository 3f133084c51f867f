// JSON numbers within bounds, as expressions.
#pragma once

#include "engine/infer/constrain/grammar.h"
#include "engine/infer/constrain/schema/facets.h"

namespace lm {

// The numbers that the facets allow, without the types of other values. Bounds other than 0 and
// multiples are for numbers without an exponent; integers are written without a point.
// Throws unsupported for steps and bounds of very many digits.
ExprId number_expression(Grammar& g, const Facets& f);

}  // namespace lm
