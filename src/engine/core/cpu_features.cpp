#include "engine/core/cpu_features.h"

#include <sched.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

namespace lm {
namespace {

#if defined(__x86_64__)
// clang 14 does not know "f16c" as a name for __builtin_cpu_supports.
bool has_f16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

// AMX: CPUID leaf 7 says what the processor has; Linux hands out the tiles' state on request
// (arch_prctl ARCH_REQ_XCOMP_PERM, state component 18), for all threads of the process.
bool has_amx_int8() {
  constexpr unsigned kTile = 1u << 24, kInt8 = 1u << 25;
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & kTile) == 0 || (edx & kInt8) == 0) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// AVX-VNNI: clang 14 does not know its name either.
bool has_avx_vnni() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & (1u << 4)) != 0;
}
#endif

CpuFeatures detect() {
  CpuFeatures f;
#if defined(__x86_64__)
  __builtin_cpu_init();
  f.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  f.avx512 = f.avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  f.avx512_vnni = f.avx512 && __builtin_cpu_supports("avx512vnni");
  f.avx512_bf16 = f.avx512 && __builtin_cpu_supports("avx512bf16");
  f.avx_vnni = f.avx2 && has_avx_vnni();
  f.amx_int8 = f.avx512_vnni && has_amx_int8();
#elif defined(__aarch64__) && defined(__linux__)
  constexpr unsigned long kDotProduct = 1ul << 20;  // HWCAP_ASIMDDP
  f.neon_dot = (getauxval(AT_HWCAP) & kDotProduct) != 0;
#elif defined(__aarch64__)
  f.neon_dot = true;  // every Apple processor with 64 bits that runs a current system
#endif
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.rfind("model name", 0) == 0 && line.find(':') + 2 <= line.size()) {
      f.model = line.substr(line.find(':') + 2);
      break;
    }
  return f;
}

// CPUs allowed by the cgroup v2 quota; a large number when there is none.
double cgroup_cpus() {
  std::ifstream in("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(in >> quota >> period) || quota == "max" || period <= 0) return 1e9;
  std::istringstream number(quota);
  double value = 0;
  return number >> value ? value / period : 1e9;
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int affinity = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
  return std::max(1, static_cast<int>(std::min<double>(affinity, std::ceil(cgroup_cpus()))));
}

std::string cpu_feature_summary() {
  const CpuFeatures& f = cpu_features();
  if (f.amx_int8) return "AVX-512 VNNI AMX";
  if (f.avx512_vnni) return f.avx512_bf16 ? "AVX-512 VNNI BF16" : "AVX-512 VNNI";
#if defined(__aarch64__)
  return f.neon_dot ? "NEON dot product" : "NEON";
#else
  if (f.avx_vnni) return "AVX2 VNNI";
  return f.avx2 ? "AVX2" : "portable";
#endif
}

}  // namespace lm
