// Any tensor that holds weights, as floats.
#pragma once

#include "engine/core/tensor_view.h"

namespace lm {

// Converts n elements starting at element `offset`: f16, bf16, f32, f64, the 8-bit floats and every
// block type of GGUF, bit for bit as ggml decodes them. offset and n must be multiples of the
// type's block size. Throws unsupported for integers, booleans and the packed floats whose scales
// lie in another tensor (f4, f6, e8m0).
void to_f32(const TensorView& view, int64_t offset, int64_t n, float* out);
bool to_f32_supported(DType type);
// Throws unsupported, naming the type and what can be converted.
void check_to_f32(DType type);

}  // namespace lm
