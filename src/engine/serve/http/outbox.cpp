#include "engine/serve/http/outbox.h"

#include <algorithm>
#include <utility>

namespace lm::http {

bool Outbox::add(std::string_view head, std::string_view bytes, std::string_view tail) {
  const std::lock_guard lock(mutex_);
  if (closed_) return false;
  bytes_.reserve(bytes_.size() + head.size() + bytes.size() + tail.size());
  bytes_.append(head).append(bytes).append(tail);
  unsent_ += head.size() + bytes.size() + tail.size();
  return !std::exchange(told_, true);
}

bool Outbox::wait_for_room() {
  std::unique_lock lock(mutex_);
  room_.wait(lock, [&] { return closed_ || unsent_ < limit_; });
  return !closed_;
}

bool Outbox::finish() {
  const std::lock_guard lock(mutex_);
  finished_ = true;
  return !closed_ && !std::exchange(told_, true);
}

bool Outbox::take(std::string* out, bool* finished) {
  const std::lock_guard lock(mutex_);
  out->clear();
  out->swap(bytes_);
  *finished = finished_;
  if (out->empty()) told_ = false;
  return !out->empty();
}

void Outbox::sent(size_t n) {
  {
    const std::lock_guard lock(mutex_);
    unsent_ -= std::min(n, unsent_);  // n may count bytes that are no answer's
  }
  room_.notify_all();
}

void Outbox::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  room_.notify_all();
}

}  // namespace lm::http
