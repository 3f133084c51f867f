// What a server has done, for /metrics in Prometheus' text format. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace lm::serve {

// A histogram of seconds.
class Histogram {
 public:
  static constexpr std::array<double, 16> kBounds = {0.001, 0.0025, 0.005, 0.01, 0.02, 0.04,
                                                     0.06,  0.1,    0.25,  0.5,  1.0,  2.5,
                                                     5.0,   10.0,   30.0,  120.0};
  void add(double seconds);
  // Lines of a Prometheus histogram; `labels` are "" or 'a="b"'.
  std::string text(const std::string& name, const std::string& labels) const;
  double mean() const;

 private:
  std::array<std::atomic<int64_t>, kBounds.size() + 1> counts_{};
  std::atomic<int64_t> total_{0};
  std::atomic<int64_t> nanoseconds_{0};
};

struct ModelMetrics {
  std::atomic<int64_t> prompt_tokens{0}, cached_tokens{0}, generation_tokens{0};
  std::atomic<int64_t> draft_tokens{0}, accepted_tokens{0};
  std::atomic<int64_t> running{0};
  std::atomic<int64_t> ended_stop{0}, ended_length{0}, ended_abort{0};
  std::atomic<int64_t> prompt_ns{0}, decode_ns{0};
  Histogram time_to_first_token, inter_token, e2e, prefill, decode;
};

class Metrics {
 public:
  // Lives as long as this.
  ModelMetrics& of(const std::string& model);
  void count_request(const std::string& route, int status);
  Histogram request_seconds;

  struct RequestCount {
    std::string route;
    int status;
    bool operator<(const RequestCount& o) const {
      return route != o.route ? route < o.route : status < o.status;
    }
  };
  std::map<RequestCount, int64_t> requests() const;
  // Calls f(name, metrics) for each model.
  template <typename F>
  void each(F&& f) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, metrics] : models_) f(name, metrics);
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, ModelMetrics> models_;
  std::map<RequestCount, int64_t> requests_;
};

}  // namespace lm::serve
