// What this machine is and can do; for lm.doctor() and lm.bench().
#pragma once

#include <cstdint>
#include <string>

namespace lm {

struct MachineInfo {
  std::string cpu;       // model name
  std::string features;  // what the kernels use: "AVX-512 VNNI BF16", "AVX2", "portable"
  std::string kernels;   // the kernel table in use: "avx512", "avx2", "neon", ..., "scalar"
  int cores = 1;         // cores this process may use
  int threads = 1;       // compute threads
  int64_t memory_bytes = 0, free_bytes = 0;  // of the machine; free: available without swapping
  std::string gpu;                           // name of the first GPU the driver shows, or empty
};

// Cheap: nothing is measured, no library is opened.
MachineInfo machine_info();

// Memory of the process that is in RAM now.
int64_t rss_bytes();
// At most this many threads compute from now on; 0: as many as there are cores. Returns the limit
// before. Throws bad_option for more than there are.
int limit_threads(int limit);

// Bytes per second that all compute threads together read from memory, the best of a few passes
// over a buffer larger than the caches. Takes about `seconds`. Throws interrupted.
double measure_read_bandwidth(double seconds);

}  // namespace lm
