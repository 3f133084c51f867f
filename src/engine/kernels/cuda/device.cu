// The GPUs of this machine, and how fast one moves memory.
#include <cuda_runtime.h>

#include "engine/api/gpu.h"
#include "engine/core/error.h"

namespace lm {
namespace {

// Turns a failed CUDA call into an Error that names the call. Texts are joined by hand: nvcc cannot evaluate fmt's
// compile-time format checks.
void check(cudaError_t status, const char* call) {
  if (status != cudaSuccess) throw Error(ErrorCode::internal, std::string("CUDA: ") + call + ": " + cudaGetErrorString(status));
}

int device_count() {
  int n = 0;
  return cudaGetDeviceCount(&n) == cudaSuccess ? n : 0;  // no driver is an answer, not an error
}

std::vector<GpuInfo> devices() {
  std::vector<GpuInfo> out;
  for (int i = 0; i < device_count(); ++i) {
    cudaDeviceProp prop;
    check(cudaGetDeviceProperties(&prop, i), "cudaGetDeviceProperties");
    check(cudaSetDevice(i), "cudaSetDevice");
    size_t free_bytes = 0, total_bytes = 0;
    check(cudaMemGetInfo(&free_bytes, &total_bytes), "cudaMemGetInfo");
    out.push_back({prop.name, prop.major, prop.minor, prop.multiProcessorCount, static_cast<int64_t>(total_bytes), static_cast<int64_t>(free_bytes)});
  }
  return out;
}

// One float4 a thread: neighbouring threads read and write neighbouring 16 bytes, so every transaction is full.
__global__ void copy_kernel(const float4* in, float4* out, int64_t n) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) out[i] = in[i];
}

// Device memory and events that end with the scope.
struct Buffer {
  void* p = nullptr;
  explicit Buffer(int64_t bytes) { check(cudaMalloc(&p, static_cast<size_t>(bytes)), "cudaMalloc"); }
  ~Buffer() { cudaFree(p); }
};
struct Event {
  cudaEvent_t e = nullptr;
  Event() { check(cudaEventCreate(&e), "cudaEventCreate"); }
  ~Event() { cudaEventDestroy(e); }
};

double copy_bandwidth(int device, int64_t bytes) {
  if (device < 0 || device >= device_count())
    throw Error(ErrorCode::not_found, "there is no GPU " + std::to_string(device) + "; this machine has " + std::to_string(device_count()));
  if (bytes < 4096) throw Error(ErrorCode::bad_option, "copy_bandwidth: " + std::to_string(bytes) + " bytes; expected at least 4096");
  check(cudaSetDevice(device), "cudaSetDevice");
  const Buffer in(bytes), out(bytes);
  const Event start, stop;
  const int64_t n = bytes / 16;
  const auto blocks = static_cast<unsigned>((n + 255) / 256);
  float best_ms = 0;
  for (int run = 0; run < 5; ++run) {
    check(cudaEventRecord(start.e), "cudaEventRecord");
    copy_kernel<<<blocks, 256>>>(static_cast<const float4*>(in.p), static_cast<float4*>(out.p), n);
    check(cudaGetLastError(), "copy_kernel");
    check(cudaEventRecord(stop.e), "cudaEventRecord");
    check(cudaEventSynchronize(stop.e), "cudaEventSynchronize");
    float ms = 0;
    check(cudaEventElapsedTime(&ms, start.e, stop.e), "cudaEventElapsedTime");
    if (best_ms == 0 || ms < best_ms) best_ms = ms;
  }
  return 2.0 * static_cast<double>(n) * 16 / (best_ms * 1e-3);
}

constexpr GpuApi kApi = {kGpuApiVersion, devices, copy_bandwidth};

}  // namespace
}  // namespace lm

extern "C" const lm::GpuApi* lmfast_cuda_open() { return &lm::kApi; }
