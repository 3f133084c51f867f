// The kernel table for AVX2, FMA and F16C.
#if defined(__x86_64__)
#define LM_ISA avx2
#define LM_VEC_AVX2
#include "engine/kernels/cpu/table.inl"
#endif
