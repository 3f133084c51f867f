// The one pool of compute threads of the process. A parallel region runs the same function on every
// thread; inside it, barriers cost about 100 ns while the threads spin and the work of a phase is
// shared out in chunks. When another program takes a core away, everybody else waits for the thread
// that lost it; the pool measures that and leaves the thread out for a while.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace lm {

class ThreadPool;

// What a function running in a region sees. All threads must make the same sequence of calls.
class Region {
 public:
  int thread() const { return thread_; }
  int n_threads() const { return n_threads_; }
  // Waits until every thread has come here.
  void barrier();
  // Calls f(begin, end) for chunks that cover [0, n) once over all threads, then passes a barrier.
  template <typename F>
  void share(int64_t n, int64_t chunk, F&& f) {
    std::atomic<int64_t>& next = counter();
    if (n_threads_ == 1) {
      for (int64_t i = 0; i < n; i += chunk) f(i, std::min(n, i + chunk));
    } else {
      for (int64_t i; (i = next.fetch_add(chunk, std::memory_order_relaxed)) < n;)
        f(i, std::min(n, i + chunk));
    }
    barrier();
  }

 private:
  friend class ThreadPool;
  Region(ThreadPool& pool, int thread, int n_threads)
      : pool_(pool), thread_(thread), n_threads_(n_threads) {}
  std::atomic<int64_t>& counter();

  ThreadPool& pool_;
  int thread_, n_threads_;
  uint32_t phase_ = 0;
};

class ThreadPool {
 public:
  // The process's pool, made on first use with available_cores() threads (LMFAST_THREADS
  // overrides).
  static ThreadPool& instance();

  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  int n_threads() const { return n_threads_; }

  // At most this many threads work from now on; 0: all. Returns the limit before.
  int set_limit(int limit) { return most_.exchange(limit, std::memory_order_relaxed); }

  // Runs f(Region&) on up to min(n_threads, limit) threads, the caller being one of them, and
  // returns when all are done. Regions from several callers run one after the other. f must not
  // throw and must not open another region.
  void run(const std::function<void(Region&)>& f, int limit = 1 << 20);

 private:
  friend class Region;
  void worker(int index);
  int choose_threads(int limit);
  void judge(int active, double seconds);
  void note_absence(std::chrono::steady_clock::time_point start, double worked);

  int n_threads_;
  std::atomic<int> most_{0};
  std::mutex run_mutex_;  // one region at a time
  std::mutex sleep_mutex_;
  std::condition_variable wake_;
  // Number of the region times kMostThreads, plus how many threads take part: one word, so that a
  // thread that comes late sees both or neither. A thread that takes no part may miss regions
  // altogether.
  static constexpr uint64_t kMostThreads = 1024;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> sleepers_{0}, running_{0};
  std::atomic<bool> stop_{false};
  const std::function<void(Region&)>* job_ = nullptr;
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;
  int left_out_ = 0;            // threads not used at the moment
  Clock::time_point next_try_;  // when one more is tried
  Seconds patience_ = kFirstPatience;
  static constexpr Seconds kFirstPatience{0.02}, kMostPatience{2.0};
  Clock::time_point start_;        // of this region
  std::atomic<double> absent_{0};  // seconds that a thread of this region had no core, at most
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> barrier_phase_{0};
  struct alignas(64) Counter {
    std::atomic<int64_t> value{0};
  };
  Counter counters_[3];
  std::vector<std::thread> threads_;
};

}  // namespace lm
