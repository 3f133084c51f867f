// One kernel table: kernels_<isa>.cpp defines LM_ISA (the table's name), a LM_VEC_* for its registers (none: plain C++) and,
// for AMX, LM_TILES, and includes this.
#include "engine/kernels/cpu/kernels.h"
#include "engine/kernels/cpu/vec.h"

namespace lm::LM_ISA {
namespace {
// Each part builds on the ones before it.
// clang-format off
#include "engine/kernels/cpu/unpack.inl"

#include "engine/kernels/cpu/matmul.inl"

#include "engine/kernels/cpu/attention.inl"
#include "engine/kernels/cpu/elementwise.inl"
// clang-format on
}  // namespace

#define LM_NAME_OF(isa) #isa
#define LM_NAME(isa) LM_NAME_OF(isa)

extern const Kernels kKernels;
const Kernels kKernels = {LM_NAME(LM_ISA), quantize_row, matmul,       rms_norm,
                          layer_norm,      gelu,         silu,         rope,
                          store_kv,        attention,    argmax,       exponentials};

}  // namespace lm::LM_ISA
