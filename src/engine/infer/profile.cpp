#include "engine/infer/profile.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace lm {
namespace {

struct Entry {
  double seconds = 0;
  int64_t calls = 0, bytes = 0;
};

// Prints when the process ends.
struct Report {
  std::mutex mutex;
  std::map<std::string, Entry> entries;

  ~Report() {
    double total = 0;
    std::vector<std::pair<std::string, Entry>> rows(entries.begin(), entries.end());
    for (const auto& [name, entry] : rows) total += entry.seconds;
    std::sort(rows.begin(), rows.end(),
              [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
    if (rows.empty()) return;
    fmt::print(stderr, "profile: {:.3f} s in forward passes\n", total);
    for (const auto& [name, e] : rows)
      fmt::print(stderr, "  {:<22} {:9.3f} s {:5.1f} % {:9} calls{}\n", name, e.seconds,
                 100 * e.seconds / total, e.calls,
                 e.bytes > 0 ? fmt::format("  {:6.1f} GB/s",
                                           static_cast<double>(e.bytes) / e.seconds * 1e-9)
                             : "");
  }
};

Report& report() {
  static Report one;
  return one;
}

}  // namespace

bool ProfileScope::enabled() {
  static const bool on = [] {
    const char* value = std::getenv("LMFAST_PROFILE");
    return value != nullptr && *value != '\0' && *value != '0';
  }();
  return on;
}

void ProfileScope::finish() {
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start_;
  Report& r = report();
  const std::lock_guard lock(r.mutex);
  Entry& entry = r.entries[*detail_ == '\0' ? what_ : std::string(what_) + " " + detail_];
  entry.seconds += time.count();
  entry.bytes += bytes_;
  ++entry.calls;
}

}  // namespace lm
