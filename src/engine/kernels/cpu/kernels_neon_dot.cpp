// The kernel table for NEON with FEAT_DotProd: most ARM cores since 2018.
#if defined(__aarch64__)
#define LM_ISA neon_dot
#define LM_VEC_NEON
#include "engine/kernels/cpu/table.inl"
#endif
