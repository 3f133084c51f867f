// The kernel table for NEON: any 64-bit ARM.
#if defined(__aarch64__)
#define LM_ISA neon
#define LM_VEC_NEON
#include "engine/kernels/cpu/table.inl"
#endif
