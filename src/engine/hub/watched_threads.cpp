#include "engine/hub/watched_threads.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "engine/core/interrupt.h"

namespace lm {
namespace {

class Threads {
 public:
  explicit Threads(SocketGuard& guard) : guard_(guard) {}
  ~Threads() {
    guard_.stop();
    for (std::thread& thread : threads_) thread.join();
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  void start(const std::function<void()>& work) {
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([this, work] { run(work); });
    ++running_;
  }
  // True when all have ended.
  bool wait() {
    std::unique_lock lock(mutex_);
    return ended_.wait_for(lock, std::chrono::milliseconds(100), [&] { return running_ == 0; });
  }
  std::exception_ptr error() {
    const std::lock_guard lock(mutex_);
    return error_;
  }

 private:
  void run(const std::function<void()>& work) {
    std::exception_ptr error;
    try {
      work();
    } catch (const std::exception&) {
      error = std::current_exception();
    }
    {
      const std::lock_guard lock(mutex_);
      if (error && !error_) error_ = error;
      --running_;
    }
    if (error) guard_.stop();  // the others end too
    ended_.notify_all();
  }

  SocketGuard& guard_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<std::thread> threads_;
  size_t running_ = 0;
  std::exception_ptr error_;
};

}  // namespace

void run_watched(SocketGuard& guard, const std::vector<std::function<void()>>& work,
                 const std::function<void()>& tick) {
  Threads threads(guard);
  for (const auto& one : work) threads.start(one);
  while (!threads.wait()) {
    check_interrupt();
    if (tick) tick();
  }
  if (const auto error = threads.error()) std::rethrow_exception(error);
}

}  // namespace lm
