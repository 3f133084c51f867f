#include "engine/hub/transfer_meter.h"

#include <utility>

namespace lm {

void TransferMeter::expect(std::optional<uint64_t> size, uint64_t done) {
  total_ += size.value_or(0);
  is_total_known_ = is_total_known_ && size.has_value();
  done_ += done;
}

void TransferMeter::set_state(std::string text) {
  const std::lock_guard lock(mutex_);
  state_ = std::move(text);
}

DownloadProgress TransferMeter::read() {
  const auto now = Clock::now();
  const uint64_t done = done_;
  samples_.push_back({now, done});
  while (samples_.size() > 2 && now - samples_.front().at > std::chrono::seconds(5))
    samples_.pop_front();
  DownloadProgress p;
  p.done = static_cast<int64_t>(done);
  p.total = is_total_known_ ? static_cast<int64_t>(total_) : 0;
  const std::chrono::duration<double> time = now - samples_.front().at;
  if (time.count() > 0.2 && done > samples_.front().done)
    p.bytes_per_s = static_cast<double>(done - samples_.front().done) / time.count();
  if (p.total > 0 && p.bytes_per_s > 0)
    p.eta_s = static_cast<double>(p.total - p.done) / p.bytes_per_s;
  const std::lock_guard lock(mutex_);
  p.state = state_;
  return p;
}

}  // namespace lm
