#if defined(__x86_64__)
#define LM_TRAIN_ISA avx2
#define LM_TRAIN_ISA_NAME "avx2"
#include "engine/train/kernels/train_kernels.inl"
#endif
