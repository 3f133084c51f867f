#include <vector>

#include "engine/core/cpu_features.h"
#include "engine/train/kernels/train_kernels.h"

namespace lm::train {

namespace scalar {
extern const TrainKernels kTable;
}
#if defined(__x86_64__)
namespace avx2 {
extern const TrainKernels kTable;
}
namespace avx512 {
extern const TrainKernels kTable;
}
#endif

namespace {

const std::vector<const TrainKernels*>& tables() {
  static const std::vector<const TrainKernels*> list = [] {
    std::vector<const TrainKernels*> found;
#if defined(__x86_64__)
    if (cpu_features().avx512) found.push_back(&avx512::kTable);
    if (cpu_features().avx2) found.push_back(&avx2::kTable);
#endif
    found.push_back(&scalar::kTable);
    return found;
  }();
  return list;
}

}  // namespace

const TrainKernels& train_kernels() {
  return *tables()[0];
}
int n_train_kernel_tables() {
  return static_cast<int>(tables().size());
}
const TrainKernels& train_kernel_table(int i) {
  return *tables()[static_cast<size_t>(i)];
}

}  // namespace lm::train
