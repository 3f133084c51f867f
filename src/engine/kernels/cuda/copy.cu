// Copies device memory: the yardstick of what a memory-bound kernel can reach. nvcc sees raw
// pointers only; everything else of this library is ordinary C++.
#include "engine/kernels/cuda/copy.h"

namespace lm {
namespace {

// One float4 a thread: neighbouring threads read and write neighbouring 16 bytes, so every
// transaction is full.
__global__ void copy_kernel(const float4* in, float4* out, int64_t n) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) out[i] = in[i];
}

}  // namespace

void launch_copy(const void* in, void* out, int64_t bytes) {
  const int64_t n = bytes / 16;
  const auto blocks = static_cast<unsigned>((n + 255) / 256);
  copy_kernel<<<blocks, 256>>>(static_cast<const float4*>(in), static_cast<float4*>(out), n);
}

}  // namespace lm
