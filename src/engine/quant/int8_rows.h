// Matrices of 8-bit integers with a scale for each row, its largest magnitude over 127 (Dettmers et
// al. 2022, arXiv:2208.07339, section 2.1), rounded as bitsandbytes does.
#pragma once

#include <cstdint>

namespace lm {

// One row. Returns its largest magnitude.
float int8_quantize_row(const float* values, int64_t n, int8_t* codes);
void int8_dequantize_row(const int8_t* codes, float magnitude, int64_t n, float* out);
// The same rounded to bf16.
void int8_dequantize_row(const int8_t* codes, float magnitude, int64_t n, uint16_t* out);

}  // namespace lm
