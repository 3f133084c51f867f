// Weights from any type to any type that can be written: plain floats and the block types of GGUF.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/tensor_view.h"
#include "engine/core/thread_pool.h"

namespace lm {

// True for f32, f16, bf16 and the block types that have an encoder (encode/encode_list.inc).
bool quantize_supported(DType type);
// Those types in the order of the lists.
std::vector<DType> quantize_types();

// n floats as n elements of `type` (a multiple of its block) at `out`. The type must be supported;
// block types need finite floats.
void quantize(DType type, const float* x, int64_t n, std::byte* out);

// Rows [first, last) of `view` (seen as rows of view.cols()) as `type`, on all threads: the bytes
// of those rows. Byte-equal to ggml's reference quantisers (f32 in between, no importance matrix).
// `name` is for messages. Throws bad_file when the type cannot hold a weight, bad_shape when rows
// are not whole blocks, unsupported for types that cannot be read or written.
std::vector<std::byte> convert_rows(const TensorView& view, const std::string& name, DType type,
                                    int64_t first, int64_t last, ThreadPool& pool);

}  // namespace lm
