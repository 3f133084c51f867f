// The lazy doors: training engine, GPU library, network library, servers.
#include <atomic>
#include <cstdlib>

#include "engine/api/gpu.h"
#include "engine/api/net.h"
#include "engine/api/serve.h"
#include "engine/api/train.h"
#include "engine/core/error.h"
#include "engine/core/lazy_library.h"

namespace lm {
namespace {

std::atomic<bool> g_train_loaded{false};

template <typename Api>
const Api* checked(const void* opened, const char* name, int version) {
  const auto* api = static_cast<const Api*>(opened);
  LM_CHECK(api->version == version, ErrorCode::unsupported,
           "{} has interface version {}; this build needs {}", name, api->version, version);
  return api;
}

}  // namespace

// A static whose initialisation throws is tried again by the next call. libtorch's OpenMP threads
// sleep between their tasks unless the user wants otherwise: spinning costs ten times the speed
// where another program wants a core, and sleeping less than 1 % of it on a quiet machine. Its
// oneDNN keeps code and buffers for each shape of a product that it met, 1024 of them by default;
// passes differ in length, and a model of 10 million parameters grew by a gigabyte in 100 steps.
const TrainApi& train_api() {
  static const bool set = setenv("OMP_WAIT_POLICY", "passive", 0) == 0 &&
                          setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64", 0) == 0;
  (void)set;
  static const TrainApi* api = checked<TrainApi>(
      open_lazy_library("liblmfast_train.so", "LMFAST_TRAIN_LIBRARY", "lmfast_train_open",
                        "scripts/lmfast.sh without --no-train builds it"),
      "liblmfast_train.so", kTrainApiVersion);
  g_train_loaded = true;
  return *api;
}

bool train_api_loaded() {
  return g_train_loaded;
}

const GpuApi& gpu_api() {
  static const GpuApi* api = checked<GpuApi>(
      open_lazy_library("liblmfast_cuda.so", "LMFAST_CUDA_LIBRARY", "lmfast_cuda_open",
                        "cmake --preset cuda builds it; it needs the CUDA toolkit"),
      "liblmfast_cuda.so", kGpuApiVersion);
  return *api;
}

const NetApi& net_api() {
  static const NetApi* api =
      checked<NetApi>(open_lazy_library("liblmfast_net.so", "LMFAST_NET_LIBRARY", "lmfast_net_open",
                                        "scripts/lmfast.sh builds it"),
                      "liblmfast_net.so", kNetApiVersion);
  return *api;
}

const ServeApi& serve_api() {
  static const ServeApi* api =
      checked<ServeApi>(open_lazy_library("liblmfast_serve.so", "LMFAST_SERVE_LIBRARY",
                                          "lmfast_serve_open", "scripts/lmfast.sh builds it"),
                        "liblmfast_serve.so", kServeApiVersion);
  return *api;
}

}  // namespace lm
