#define LM_TRAIN_ISA scalar
#define LM_TRAIN_ISA_NAME "scalar"
#include "engine/train/kernels/train_kernels.inl"
