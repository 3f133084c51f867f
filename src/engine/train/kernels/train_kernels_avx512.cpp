#if defined(__x86_64__)
#define LM_TRAIN_ISA avx512
#define LM_TRAIN_ISA_NAME "avx512"
#include "engine/train/kernels/train_kernels.inl"
#endif
