// The kernel table for AVX2 with AVX-VNNI: laptops since Alder Lake, which have no AVX-512.
#if defined(__x86_64__)
#define LM_ISA avxvnni
#define LM_VEC_AVX2
#include "engine/kernels/cpu/table.inl"
#endif
