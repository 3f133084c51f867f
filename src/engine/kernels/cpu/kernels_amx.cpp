// The kernel table for amx: AVX-512 with tiles for products with many tokens.
#if defined(__x86_64__)
#define LM_ISA_amx
#include "engine/kernels/cpu/kernels.h"
#include "engine/kernels/cpu/vec.h"

namespace lm::amx {
namespace {
// Each part builds on the ones before it.
// clang-format off
#include "engine/kernels/cpu/matmul.inl"

#include "engine/kernels/cpu/attention.inl"
#include "engine/kernels/cpu/elementwise.inl"
// clang-format on
}  // namespace

extern const Kernels kKernels;
const Kernels kKernels = {"amx", quantize_row, matmul,   rms_norm,  layer_norm, gelu,
                          silu,  rope,         store_kv, attention, argmax};

}  // namespace lm::amx
#endif
