#include <cstdlib>
#include <cstring>
#include <vector>

#include "engine/core/cpu_features.h"
#include "engine/core/error.h"
#include "engine/kernels/cpu/kernels.h"

namespace lm {
namespace scalar {
extern const Kernels kKernels;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Kernels kKernels;
}
namespace avx512 {
extern const Kernels kKernels;
}
namespace amx {
extern const Kernels kKernels;
}
#endif

namespace {

std::vector<const Kernels*> runnable() {
  std::vector<const Kernels*> tables;
#if defined(__x86_64__)
  if (cpu_features().amx_int8) tables.push_back(&amx::kKernels);
  if (cpu_features().avx512_vnni) tables.push_back(&avx512::kKernels);
  if (cpu_features().avx2) tables.push_back(&avx2::kKernels);
#endif
  tables.push_back(&scalar::kKernels);
  return tables;
}

const std::vector<const Kernels*>& tables() {
  static const std::vector<const Kernels*> list = runnable();
  return list;
}

const Kernels& choose() {
  const char* wanted = std::getenv("LMFAST_KERNELS");
  if (!wanted || !*wanted) return *tables()[0];
  for (const Kernels* k : tables())
    if (std::strcmp(k->name, wanted) == 0) return *k;
  raise(ErrorCode::bad_option, "LMFAST_KERNELS is \"{}\"; this machine can run {} and scalar",
        wanted, tables()[0]->name);
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

int n_kernel_tables() {
  return static_cast<int>(tables().size());
}
const Kernels& kernel_table(int i) {
  return *tables()[static_cast<size_t>(i)];
}

}  // namespace lm
