// Numbers of one element each as floats; the pointers need no alignment. Sources: IEEE 754;
// Micikevicius et al. 2022 (FP8); the fnuz kinds: ONNX, "Float stored in 8 bits".
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/core/dtype.h"

namespace lm {

// False for types that are not plain floating-point numbers; out is untouched then.
bool plain_to_f32(DType type, const std::byte* p, int64_t n, float* out);
bool is_plain_float(DType type);

float e4m3_to_float(uint8_t x);      // S.1111.111 is NaN, no infinities
float e5m2_to_float(uint8_t x);      // the upper byte of an f16
float e4m3fnuz_to_float(uint8_t x);  // bias 8; 0x80 is NaN
float e5m2fnuz_to_float(uint8_t x);  // bias 16; 0x80 is NaN

}  // namespace lm
