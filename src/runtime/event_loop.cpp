#include "runtime/event_loop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "engine/core/error.h"

namespace lm {
namespace {
constexpr auto kBudget =
    std::chrono::milliseconds(10);  // of posted work, before the user's keys are looked at again
}

EventLoop::EventLoop()
    : main_thread_(std::this_thread::get_id()), wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  LM_CHECK(wake_fd_ >= 0, ErrorCode::io, "event loop: eventfd: {}", std::strerror(errno));
}

EventLoop::~EventLoop() {
  close();
  ::close(wake_fd_);
}

void EventLoop::wake() noexcept {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n =
      ::write(wake_fd_, &one, sizeof one);  // full counter: already awake
}

std::future<void> EventLoop::post(std::function<void()> work) {
  Work item{std::move(work), {}};
  std::future<void> future = item.done.get_future();
  {
    const std::lock_guard lock(mutex_);
    if (closed_) {
      item.done.set_exception(
          std::make_exception_ptr(Error(ErrorCode::interrupted, "the session is ending")));
      return future;
    }
    queue_.push_back(std::move(item));
  }
  wake();
  return future;
}

bool EventLoop::has_work() {
  const std::lock_guard lock(mutex_);
  return !queue_.empty();
}

size_t EventLoop::pump() {
  const Clock::time_point start = Clock::now();
  size_t n = 0;
  do {
    std::unique_lock lock(mutex_);
    if (queue_.empty()) break;
    Work item = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    ++n;
    // Only std::exception: a Lua error that escapes must travel on to the Lua code below us.
    try {
      item.run();
      item.done.set_value();
    } catch (const std::exception&) {
      item.done.set_exception(std::current_exception());
    }
  } while (Clock::now() - start < kBudget);
  run_timers();
  return n;
}

void EventLoop::add_timer(std::chrono::milliseconds interval, std::function<void()> tick) {
  timers_.push_back({interval, Clock::now() + interval, std::move(tick)});
}

void EventLoop::after(std::chrono::milliseconds delay, std::function<void()> work) {
  timers_.push_back({delay, Clock::now() + delay, std::move(work), true});
}

void EventLoop::run_timers() {
  const Clock::time_point now = Clock::now();
  for (size_t i = 0; i < timers_.size();) {  // by index: a tick may add timers
    if (timers_[i].due > now) {
      ++i;
      continue;
    }
    const auto tick = timers_[i].tick;
    if (timers_[i].once) {
      timers_.erase(timers_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      timers_[i].due = now + timers_[i].interval;
      ++i;
    }
    tick();
  }
}

bool EventLoop::wait(int fd, std::chrono::milliseconds timeout) {
  {
    const std::lock_guard lock(mutex_);
    if (!queue_.empty()) timeout = std::chrono::milliseconds(0);
  }
  for (const Timer& timer : timers_) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(timer.due - Clock::now());
    const auto bounded = std::max(left, std::chrono::milliseconds(0));
    if (timeout.count() < 0 || bounded < timeout) timeout = bounded;
  }
  pollfd fds[2] = {{wake_fd_, POLLIN, 0}, {fd, POLLIN, 0}};
  const int n = ::poll(fds, fd >= 0 ? 2 : 1,
                       static_cast<int>(std::min<int64_t>(timeout.count(), 3600 * 1000)));
  if (n <= 0) return false;
  if (fds[0].revents) {
    uint64_t count;
    [[maybe_unused]] const ssize_t got = ::read(wake_fd_, &count, sizeof count);
  }
  return fd >= 0 && fds[1].revents != 0;
}

void EventLoop::close() {
  std::deque<Work> left;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    left.swap(queue_);
  }
  for (Work& item : left)
    item.done.set_exception(
        std::make_exception_ptr(Error(ErrorCode::interrupted, "the session is ending")));
}

EventLoop& main_loop() {
  static EventLoop loop;
  return loop;
}

}  // namespace lm
