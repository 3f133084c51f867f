// Brings work of other threads to the main thread, which alone may touch the main Lua state.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace lm {

class EventLoop {
 public:
  using Clock = std::chrono::steady_clock;

  // The thread that creates the loop is its main thread.
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs `work` on the main thread as soon as it waits or pumps; any thread may call this. The
  // future carries what the work threw (std::exception only). Work that calls Lua must do so
  // protected. After close() the future holds Error{interrupted}. A thread that waits for the
  // future must set itself a limit: the main thread may be busy.
  std::future<void> post(std::function<void()> work);

  // Like post, with a result.
  template <typename Function>
  auto call(Function function) -> std::future<decltype(function())> {
    using Result = decltype(function());
    auto promise = std::make_shared<std::promise<Result>>();
    std::future<Result> future = promise->get_future();
    post([promise, function = std::move(function)]() mutable {
      try {
        promise->set_value(function());
      } catch (const std::exception&) {
        promise->set_exception(std::current_exception());
      }
    });
    return future;
  }

  // Runs posted work and due timers for at most 10 ms (at least one piece). Main thread only; work
  // that pumps again runs the rest of the queue. Returns the number of pieces run.
  size_t pump();

  bool has_work();

  // Calls `tick` about every `interval` while the main thread waits or pumps.
  void add_timer(std::chrono::milliseconds interval, std::function<void()> tick);

  // Calls `work` once, when `delay` is over and the main thread waits or pumps. Main thread only.
  void after(std::chrono::milliseconds delay, std::function<void()> work);

  // Sleeps until `fd` can be read (true), or something was posted, a timer is due, wake() was
  // called or `timeout` is over (false). fd < 0: none. timeout < 0: none.
  bool wait(int fd, std::chrono::milliseconds timeout);

  // Ends a wait(); async-signal-safe.
  void wake() noexcept;

  bool on_main_thread() const { return std::this_thread::get_id() == main_thread_; }

  // Refuses further work and answers what is queued with Error{interrupted}.
  void close();

 private:
  struct Work {
    std::function<void()> run;
    std::promise<void> done;
  };
  struct Timer {
    std::chrono::milliseconds interval;
    Clock::time_point due;
    std::function<void()> tick;
    bool once = false;
  };

  void run_timers();

  const std::thread::id main_thread_;
  int wake_fd_;
  std::mutex mutex_;  // guards queue_ and closed_
  std::deque<Work> queue_;
  bool closed_ = false;
  std::vector<Timer> timers_;
};

// The loop of the process's main thread.
EventLoop& main_loop();

}  // namespace lm
