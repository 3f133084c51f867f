// The functions behind the lazy door (engine/api/train.h). libtorch's exceptions become lm::Error
// here: their own text carries a C++ backtrace that no user wants.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/rand.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <torch/headeronly/version.h>

#include <chrono>

#include "engine/api/train.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/train/trainer.h"

namespace lm {
namespace {

// Calls f and gives libtorch's errors our type.
template <typename F>
auto from_torch(F&& f) {
  try {
    return f();
  } catch (const c10::Error& e) {
    throw Error(ErrorCode::internal, std::string("libtorch: ") + e.what_without_backtrace());
  }
}

TorchInfo torch_info() {
  return from_torch([] { return TorchInfo{TORCH_VERSION, at::get_num_threads(), at::hasCUDA()}; });
}

double matmul_gflops(int64_t n, double seconds) {
  LM_CHECK(n >= 1 && n <= 16384, ErrorCode::bad_option, "matmul_gflops: n is {}; expected 1..16384",
           n);
  return from_torch([&] {
    const c10::InferenceMode no_autograd;
    const at::Tensor a = at::rand({n, n}), b = at::rand({n, n});
    at::Tensor c = at::matmul(a, b);  // the first product pays for set-up
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    double elapsed = 0;
    int64_t runs = 0;
    for (; runs == 0 || elapsed < seconds; ++runs) {
      check_interrupt();
      c = at::matmul(a, b);
      elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    }
    const auto size = static_cast<double>(n);
    return 2.0 * size * size * size * static_cast<double>(runs) / elapsed / 1e9;
  });
}

TrainResult train_model(const TrainOptions& options, const TrainSink& sink) {
  return from_torch([&] { return train::run_training(options, sink); });
}

constexpr TrainApi kApi = {kTrainApiVersion, torch_info, matmul_gflops, train_model};

}  // namespace
}  // namespace lm

extern "C" const lm::TrainApi* lmfast_train_open() {
  return &lm::kApi;
}
