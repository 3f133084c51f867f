// The GPUs of this machine, and how fast one moves memory.
#include <cuda_runtime_api.h>

#include "engine/api/gpu.h"
#include "engine/core/error.h"
#include "engine/kernels/cuda/copy.h"

namespace lm {
namespace {

// Turns a failed CUDA call into an Error that names the call.
void check(cudaError_t status, const char* call) {
  LM_CHECK(status == cudaSuccess, ErrorCode::internal, "CUDA: {}: {}", call,
           cudaGetErrorString(status));
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
    out.push_back({prop.name, prop.major, prop.minor, prop.multiProcessorCount,
                   static_cast<int64_t>(total_bytes), static_cast<int64_t>(free_bytes)});
  }
  return out;
}

// Device memory and events that end with the scope.
struct Buffer {
  void* p = nullptr;
  explicit Buffer(int64_t bytes) {
    check(cudaMalloc(&p, static_cast<size_t>(bytes)), "cudaMalloc");
  }
  ~Buffer() { cudaFree(p); }
};
struct Event {
  cudaEvent_t e = nullptr;
  Event() { check(cudaEventCreate(&e), "cudaEventCreate"); }
  ~Event() { cudaEventDestroy(e); }
};

double copy_bandwidth(int device, int64_t bytes) {
  LM_CHECK(device >= 0 && device < device_count(), ErrorCode::not_found,
           "there is no GPU {}; this machine has {}", device, device_count());
  LM_CHECK(bytes >= 4096 && bytes % 16 == 0, ErrorCode::bad_option,
           "copy_bandwidth: {} bytes; expected at least 4096, a multiple of 16", bytes);
  check(cudaSetDevice(device), "cudaSetDevice");
  const Buffer in(bytes), out(bytes);
  const Event start, stop;
  float best_ms = 0;
  for (int run = 0; run < 5; ++run) {
    check(cudaEventRecord(start.e), "cudaEventRecord");
    launch_copy(in.p, out.p, bytes);
    check(cudaGetLastError(), "launch_copy");
    check(cudaEventRecord(stop.e), "cudaEventRecord");
    check(cudaEventSynchronize(stop.e), "cudaEventSynchronize");
    float ms = 0;
    check(cudaEventElapsedTime(&ms, start.e, stop.e), "cudaEventElapsedTime");
    if (best_ms == 0 || ms < best_ms) best_ms = ms;
  }
  return 2.0 * static_cast<double>(bytes) / (static_cast<double>(best_ms) * 1e-3);
}

constexpr GpuApi kApi = {kGpuApiVersion, devices, copy_bandwidth};

}  // namespace
}  // namespace lm

extern "C" const lm::GpuApi* lmfast_cuda_open() {
  return &lm::kApi;
}
