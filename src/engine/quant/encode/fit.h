// Searches for the scale (and minimum) of a small group of weights that gives the least weighted
// error: what the K types do for each sub-block before they quantise the scales themselves. The
// candidates and their order are the reference's.
#pragma once

#include <cstdint>

namespace lm {

struct ScaleAndMin {
  float scale, min;  // x is about scale * code - min, both not negative
};

// How fit_range searches: scales for which the range has `first + step * i + top` codes, i = 0 ..
// steps, and least squares for scale and minimum under each; errors are squared, or absolute.
struct RangeSearch {
  float first, step;
  int steps;
  bool absolute_error;
};

// Codes 0 .. top in `codes` (n <= 32), weights > 0.
ScaleAndMin fit_range(int n, int top, const float* x, const float* weights, uint8_t* codes,
                      const RangeSearch& search);

// Signed codes -half .. half - 1, stored plus half. Tries 19 scales around the one that maps the
// largest value to -half; the error of an element counts with its square. Returns the scale,
// negative where the largest value is positive.
float fit_signed(int n, int half, const float* x, int8_t* codes);

// The same kind of code for 3-bit groups: starts at the first of those scales and improves single
// codes, five rounds at most.
float fit_signed_by_rounds(int n, int half, const float* x, int8_t* codes);

}  // namespace lm
