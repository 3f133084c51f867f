// The kernel table for AVX-512 and tiles (AMX-INT8).
#if defined(__x86_64__)
#define LM_ISA amx
#define LM_VEC_AVX512
#define LM_TILES
#include "engine/kernels/cpu/table.inl"
#endif
