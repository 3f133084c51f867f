#include "engine/api/machine.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include "engine/core/aligned_buffer.h"
#include "engine/core/cpu_features.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/core/thread_pool.h"
#include "engine/kernels/cpu/kernels.h"

namespace lm {
namespace {

// A line "Name:   123 kB" of /proc/meminfo, in bytes.
int64_t meminfo(const std::string& name) {
  std::ifstream in("/proc/meminfo");
  std::string key, unit;
  for (int64_t value = 0; in >> key >> value; std::getline(in, unit))
    if (key == name + ":") return value * 1024;
  return 0;
}

// NVIDIA's driver lists its GPUs here; no library is needed to look.
std::string first_gpu() {
  std::ifstream in("/proc/driver/nvidia/gpus/0/information");
  for (std::string line; std::getline(in, line);)
    if (line.rfind("Model:", 0) == 0) {
      const size_t at = line.find_first_not_of(" \t", 6);
      return at == std::string::npos ? "NVIDIA GPU" : line.substr(at);
    }
  std::ifstream version("/proc/driver/nvidia/version");
  return version ? "NVIDIA GPU" : "";
}

// Sums a stretch of memory as 64-bit words; four chains keep the loads flowing, and what lies 8 KiB
// ahead is asked for, as the kernels do.
uint64_t sum_words(const uint64_t* p, int64_t n) {
  uint64_t a = 0, b = 0, c = 0, d = 0;
  for (int64_t i = 0; i + 4 <= n; i += 4) {
    if (i % 8 == 0) __builtin_prefetch(p + i + 1024, 0, 2);
    a += p[i];
    b += p[i + 1];
    c += p[i + 2];
    d += p[i + 3];
  }
  return a + b + c + d;
}

}  // namespace

MachineInfo machine_info() {
  MachineInfo info;
  info.cpu = cpu_features().model;
  info.features = cpu_feature_summary();
  info.kernels = kernels().name;
  info.cores = available_cores();
  info.threads = ThreadPool::instance().n_threads();
  info.memory_bytes = meminfo("MemTotal");
  info.free_bytes = meminfo("MemAvailable");
  info.gpu = first_gpu();
  return info;
}

int64_t rss_bytes() {
  std::ifstream in("/proc/self/statm");
  int64_t size = 0, resident = 0;
  in >> size >> resident;
  return resident * static_cast<int64_t>(::sysconf(_SC_PAGESIZE));
}

int limit_threads(int limit) {
  ThreadPool& pool = ThreadPool::instance();
  LM_CHECK(limit >= 0 && limit <= pool.n_threads(), ErrorCode::bad_option,
           "{} threads are asked for; expected 1..{}", limit, pool.n_threads());
  return pool.set_limit(limit);
}

double measure_read_bandwidth(double seconds) {
  constexpr int64_t kBytes = int64_t{256} << 20;
  const AlignedBuffer buffer(kBytes, true);
  ThreadPool& pool = ThreadPool::instance();
  pool.run([&](Region& region) {  // touch every page: untouched memory is one shared page of zeros
    region.share(kBytes / 4096, 64, [&](int64_t begin, int64_t end) {
      for (int64_t page = begin; page < end; ++page)
        buffer.as<uint64_t>()[page * 512] = static_cast<uint64_t>(page);
    });
  });
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  std::atomic<uint64_t> sink{0};
  double best = 0;
  while (std::chrono::duration<double>(Clock::now() - start).count() < seconds) {
    check_interrupt();
    const auto pass = Clock::now();
    pool.run([&](Region& region) {
      region.share(kBytes, int64_t{1} << 20, [&](int64_t begin, int64_t end) {
        sink.fetch_add(sum_words(buffer.as<uint64_t>() + begin / 8, (end - begin) / 8),
                       std::memory_order_relaxed);
      });
    });
    best = std::max(best, static_cast<double>(kBytes) /
                              std::chrono::duration<double>(Clock::now() - pass).count());
  }
  return best;
}

}  // namespace lm
