// The lazy door to the GPU library: liblmfast_cuda.so is opened when somebody asks for a device, so
// that machines without CUDA never need it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lm {

struct GpuInfo {
  std::string name;          // "NVIDIA H100 80GB HBM3"
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  int64_t memory_bytes = 0, free_bytes = 0;  // of the device
};

// What liblmfast_cuda.so offers; handed over by its only exported C function, lmfast_cuda_open.
struct GpuApi {
  int version;  // kGpuApiVersion of the build; both sides must agree
  // The devices that the CUDA run time shows; empty when there is no driver or no device.
  std::vector<GpuInfo> (*devices)();
  // Bytes per second of a device-to-device copy, counting what is read and written; throws
  // not_found for an absent device.
  double (*copy_bandwidth)(int device, int64_t bytes);
};

inline constexpr int kGpuApiVersion = 1;

// Opens the library if it is not open yet: beside liblmfast.so, or at LMFAST_CUDA_LIBRARY.
// Throws not_found with the loader's reason, or unsupported when the library is from another build.
const GpuApi& gpu_api();

}  // namespace lm
