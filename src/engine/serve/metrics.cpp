#include "engine/serve/metrics.h"

#include <fmt/format.h>

namespace lm::serve {

void Histogram::add(double seconds) {
  size_t i = 0;
  while (i < kBounds.size() && seconds > kBounds[i]) ++i;
  counts_[i].fetch_add(1, std::memory_order_relaxed);
  total_.fetch_add(1, std::memory_order_relaxed);
  nanoseconds_.fetch_add(static_cast<int64_t>(seconds * 1e9), std::memory_order_relaxed);
}

double Histogram::mean() const {
  const int64_t n = total_;
  return n == 0 ? 0 : static_cast<double>(nanoseconds_) * 1e-9 / static_cast<double>(n);
}

std::string Histogram::text(const std::string& name, const std::string& labels) const {
  std::string out;
  const std::string more = labels.empty() ? "" : labels + ",";
  int64_t sum = 0;
  for (size_t i = 0; i < kBounds.size(); ++i) {
    sum += counts_[i];
    out += fmt::format("{}_bucket{{{}le=\"{}\"}} {}\n", name, more, kBounds[i], sum);
  }
  sum += counts_[kBounds.size()];
  out += fmt::format("{}_bucket{{{}le=\"+Inf\"}} {}\n", name, more, sum);
  const std::string braces = labels.empty() ? "" : "{" + labels + "}";
  out += fmt::format("{}_sum{} {:.9f}\n", name, braces, static_cast<double>(nanoseconds_) * 1e-9);
  return out + fmt::format("{}_count{} {}\n", name, braces, sum);
}

ModelMetrics& Metrics::of(const std::string& model) {
  const std::lock_guard lock(mutex_);
  return models_[model];
}

void Metrics::count_request(const std::string& route, int status) {
  const std::lock_guard lock(mutex_);
  ++requests_[{route, status}];
}

std::map<Metrics::RequestCount, int64_t> Metrics::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

}  // namespace lm::serve
