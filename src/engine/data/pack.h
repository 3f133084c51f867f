// Packing: documents of different lengths into rows of at most so many tokens.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lm {

// Best-fit decreasing: documents from the longest to the shortest (equal ones in order), each into
// the fullest bin that has room; among bins with equal room the one that got it first. Returns the
// documents of each bin. Lengths must be 1..capacity. Equals "bfd" of TRL (trl/data_utils.py).
std::vector<std::vector<int64_t>> pack_best_fit(std::span<const int64_t> lengths, int64_t capacity);

}  // namespace lm
