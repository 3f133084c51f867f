// What this processor can do and how many cores this process may use.
#pragma once

#include <string>

namespace lm {

struct CpuFeatures {
  bool avx2 = false;         // AVX2 + FMA + F16C
  bool avx_vnni = false;     // VPDPBUSD without AVX-512
  bool avx512 = false;       // F, BW, VL, DQ
  bool avx512_vnni = false;  // VPDPBUSD
  bool avx512_bf16 = false;
  bool amx_int8 = false;  // tiles of signed bytes, and the kernel lets this process use them
  bool neon_dot = false;  // SDOT (FEAT_DotProd)
  std::string model;      // e.g. "AMD EPYC"
};

const CpuFeatures& cpu_features();

// Cores this process may run on: the affinity mask, cut by the cgroup's CPU quota (rounded up). At
// least 1.
int available_cores();

// "AVX-512 VNNI BF16", "AVX2", "portable": what the kernels will use.
std::string cpu_feature_summary();

}  // namespace lm
