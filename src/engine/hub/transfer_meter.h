// Counts the bytes of all transfers and tells rate and time left. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>

#include "engine/api/hub.h"

namespace lm {

class TransferMeter {
 public:
  // A file joins, of which `done` bytes are there already.
  void expect(std::optional<uint64_t> size, uint64_t done);
  void add(uint64_t bytes) { done_ += bytes; }
  // Bytes that have to be fetched again.
  void take_back(uint64_t bytes) { done_ -= bytes; }
  void set_state(std::string text);
  // The rate is that of the last five seconds.
  DownloadProgress read();

 private:
  using Clock = std::chrono::steady_clock;
  struct Sample {
    Clock::time_point at;
    uint64_t done;
  };

  std::atomic<uint64_t> done_{0};
  uint64_t total_ = 0;
  bool is_total_known_ = true;
  std::deque<Sample> samples_;
  std::mutex mutex_;  // guards state_
  std::string state_;
};

}  // namespace lm
