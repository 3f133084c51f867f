// The kernel table for avx512; the code is in the .inl files, the registers in vec.h.
#if defined(__x86_64__)
#define LM_ISA_avx512
#include "engine/kernels/cpu/kernels.h"
#include "engine/kernels/cpu/vec.h"

namespace lm::avx512 {
namespace {
// Each part builds on the ones before it.
// clang-format off
#include "engine/kernels/cpu/matmul.inl"

#include "engine/kernels/cpu/attention.inl"
#include "engine/kernels/cpu/elementwise.inl"
// clang-format on
}  // namespace

extern const Kernels kKernels;
const Kernels kKernels = {"avx512", quantize_row, matmul,   rms_norm,  layer_norm, gelu,
                          silu,     rope,         store_kv, attention, argmax};

}  // namespace lm::avx512
#endif
