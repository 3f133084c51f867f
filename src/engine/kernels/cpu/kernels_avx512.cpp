// The kernel table for AVX-512 with VNNI.
#if defined(__x86_64__)
#define LM_ISA avx512
#define LM_VEC_AVX512
#include "engine/kernels/cpu/table.inl"
#endif
