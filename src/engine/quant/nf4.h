// 4-bit NormalFloat with double quantisation (Dettmers et al. 2023, arXiv:2305.14314, section 3) as
// bitsandbytes keeps it: blocks of 64 along the flattened matrix share a scale, their largest
// magnitude; each number is one of 16 quantiles of the normal distribution times it. The scales
// less their mean are 8-bit numbers themselves (blockwise8.h): 4.13 bits for each number.
//
// Dequantisation is equal bit for bit to bitsandbytes'. Quantisation is equal to its portable
// kernels; its CPU library rounds the scales' codes by a table, which differs by at most one code.
#pragma once

#include <cstdint>
#include <vector>

namespace lm {

inline constexpr int64_t kNf4Block = 64;

// The scales of a matrix of n numbers.
struct Nf4Scales {
  std::vector<uint8_t> codes;  // [ceil(n / 64)]
  std::vector<float> nested;   // [ceil(n / 64 / 256)]
  float offset = 0;            // mean of the scales
  float at(int64_t block) const;
};

// codes: (n + 1) / 2 bytes; the first number of a pair is in the high half.
Nf4Scales nf4_quantize(const float* values, int64_t n, uint8_t* codes);
// Numbers begin .. end - 1 of the matrix.
void nf4_dequantize(const uint8_t* codes, const Nf4Scales& scales, int64_t begin, int64_t end,
                    float* out);
// The same rounded to bf16.
void nf4_dequantize(const uint8_t* codes, const Nf4Scales& scales, int64_t begin, int64_t end,
                    uint16_t* out);

}  // namespace lm
