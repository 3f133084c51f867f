// The kernel table for plain C++: the reference.
#define LM_ISA scalar
#include "engine/kernels/cpu/table.inl"
