// How far apart two words are: for "did you mean".
#pragma once

#include <cstddef>
#include <string_view>

namespace lm {

// Bytes to insert, delete or change to make one of the other (Levenshtein 1966). Takes time in the
// product of the lengths: keep foreign texts short.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace lm
