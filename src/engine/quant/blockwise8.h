// Blocks of 8-bit numbers as bitsandbytes keeps optimizer states (Dettmers et al. 2022,
// arXiv:2110.02861): each block of 256 has a scale, its largest magnitude, and each number is the
// index of the nearest value of a table of 256 that is dense around zero ("dynamic map").
//
// Equal bit for bit to bitsandbytes' portable kernels (backends/default). Its CPU library finds
// the nearest value by a table of 65,536 places instead, which loses all numbers below 1.5e-5 of
// the scale; its GPU kernels search, as this does.
#pragma once

#include <array>
#include <cstdint>

namespace lm {

inline constexpr int64_t kBlock8 = 256;

// Ascending; signed: -0.993 .. 1, else 0 .. 1. Both have 0 and 1 exactly.
using DynamicMap = std::array<float, 256>;
const DynamicMap& dynamic_map(bool is_signed);
// Index of the table's zero: what a fresh state is filled with.
uint8_t dynamic_map_zero(bool is_signed);

// One block of n <= 256 numbers. quantize returns the scale.
float quantize_block8(bool is_signed, const float* values, int64_t n, uint8_t* codes);
void dequantize_block8(bool is_signed, const uint8_t* codes, float scale, int64_t n, float* values);

}  // namespace lm
