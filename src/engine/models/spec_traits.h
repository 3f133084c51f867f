// The numbers of a description, to compare two descriptions of one model.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/models/model_spec.h"

namespace lm {

// Everything that decides what the model computes, but not how its file arranges tensors (names,
// row orders, transposed matrices, norm weights stored minus one).
using SpecTraits = std::vector<std::pair<std::string, double>>;
SpecTraits spec_traits(const ModelSpec& spec);

// The first number that differs by more than 1e-5 of itself, as "layer 3 window: 512 and 0"; empty
// when none does.
std::string spec_difference(const ModelSpec& a, const ModelSpec& b);

}  // namespace lm
