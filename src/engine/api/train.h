// The lazy door to the training engine: liblmfast_train.so and libtorch behind it are opened on the
// first call, so that a program that does not train starts in milliseconds. Exceptions cross the
// door with their type (lm::Error).
#pragma once

#include <cstdint>
#include <string>

namespace lm {

struct TorchInfo {
  std::string version;  // libtorch's, e.g. "2.13.0"
  int threads = 0;      // threads libtorch computes with
  bool cuda = false;    // a GPU that libtorch can use
};

// What liblmfast_train.so offers. One table, handed over by its only exported C function.
struct TrainApi {
  int version;  // kTrainApiVersion of the build; both sides must agree
  TorchInfo (*torch_info)();
  // Multiplies two n x n f32 matrices for about `seconds` and returns GFLOP/s. Throws bad_option
  // for n outside 1..16384.
  double (*matmul_gflops)(int64_t n, double seconds);
};

inline constexpr int kTrainApiVersion = 1;

// Opens the library if it is not open yet. Looks beside liblmfast.so, or at LMFAST_TRAIN_LIBRARY.
// Throws not_found with the loader's reason, or unsupported when the library is from another build.
const TrainApi& train_api();
// Whether it has been opened already; never opens it.
bool train_api_loaded();

}  // namespace lm
