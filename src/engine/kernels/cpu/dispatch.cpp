#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "engine/core/cpu_features.h"
#include "engine/core/error.h"
#include "engine/kernels/cpu/kernels.h"

namespace lm {
#define LM_TABLE(isa)            \
  namespace isa {                \
  extern const Kernels kKernels; \
  }
LM_TABLE(scalar)
#if defined(__x86_64__)
LM_TABLE(avx2)
LM_TABLE(avxvnni)
LM_TABLE(avx512)
LM_TABLE(amx)
#elif defined(__aarch64__)
LM_TABLE(neon)
LM_TABLE(neon_dot)
#endif
#undef LM_TABLE

namespace {

std::vector<const Kernels*> runnable() {
  std::vector<const Kernels*> tables;
#if defined(__x86_64__)
  if (cpu_features().amx_int8) tables.push_back(&amx::kKernels);
  if (cpu_features().avx512_vnni) tables.push_back(&avx512::kKernels);
  if (cpu_features().avx_vnni) tables.push_back(&avxvnni::kKernels);
  if (cpu_features().avx2) tables.push_back(&avx2::kKernels);
#elif defined(__aarch64__)
  if (cpu_features().neon_dot) tables.push_back(&neon_dot::kKernels);
  tables.push_back(&neon::kKernels);
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
  std::string names;
  for (const Kernels* k : tables())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", k->name);
  raise(ErrorCode::bad_option, "LMFAST_KERNELS is \"{}\"; this machine can run {}", wanted, names);
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
