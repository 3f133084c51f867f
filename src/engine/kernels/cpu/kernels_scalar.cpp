// The kernel table for scalar; the code is in the .inl files, the registers in vec.h.
#define LM_ISA_scalar
#include "engine/kernels/cpu/kernels.h"
#include "engine/kernels/cpu/vec.h"

namespace lm::scalar {
namespace {
// Each part builds on the ones before it.
// clang-format off
#include "engine/kernels/cpu/matmul.inl"

#include "engine/kernels/cpu/attention.inl"
#include "engine/kernels/cpu/elementwise.inl"
// clang-format on
}  // namespace

extern const Kernels kKernels;
const Kernels kKernels = {"scalar", quantize_row, matmul,   rms_norm,  layer_norm, gelu,
                          silu,     rope,         store_kv, attention, argmax};

}  // namespace lm::scalar
