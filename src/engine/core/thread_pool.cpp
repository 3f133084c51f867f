#include "engine/core/thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>

#include "engine/core/cpu_features.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define LM_PAUSE() _mm_pause()
#else
#define LM_PAUSE() std::this_thread::yield()
#endif

namespace lm {
namespace {

using Clock = std::chrono::steady_clock;

// Spins; false when `spins` ran out. It does not yield: on a busy machine that gives the core away
// for milliseconds.
template <typename Ready>
bool spin_until(Ready ready, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (ready()) return true;
    LM_PAUSE();
  }
  return ready();
}

constexpr int kSpinsBeforeSleep = 20000;  // some 0.5 ms: longer than the gap between two tokens
constexpr int kSpinsBeforeYield = 2000;   // some 50 us: longer than the uneven end of a phase

template <typename Ready>
void wait_for(Ready ready) {
  while (!spin_until(ready, kSpinsBeforeYield))
    std::this_thread::yield();  // whoever is missing may need this core
}

// Seconds of processor time of the calling thread. 0 where the system does not tell.
double thread_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int pool_size() {
  if (const char* text = std::getenv("LMFAST_THREADS")) {
    const int n = std::atoi(text);
    if (n >= 1 && n <= 1023) return n;
  }
  return std::min(available_cores(), 1023);
}

}  // namespace

std::atomic<int64_t>& Region::counter() {
  return pool_.counters_[phase_ % 3].value;
}

// Phase p uses counter p % 3. The last thread to arrive clears the counter of phase p + 2, which
// nobody can be using: its previous user was phase p - 1.
void Region::barrier() {
  const uint32_t phase = phase_++;
  if (n_threads_ == 1) return;
  if (pool_.arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == n_threads_) {
    pool_.counters_[(phase + 2) % 3].value.store(0, std::memory_order_relaxed);
    pool_.arrived_.store(0, std::memory_order_relaxed);
    pool_.barrier_phase_.store(phase + 1, std::memory_order_release);
    return;
  }
  wait_for([&] { return pool_.barrier_phase_.load(std::memory_order_acquire) == phase + 1; });
}

ThreadPool& ThreadPool::instance() {
  static ThreadPool pool(pool_size());
  return pool;
}

ThreadPool::ThreadPool(int n_threads) : n_threads_(n_threads) {
  // Signals belong to the main thread.
  sigset_t all, previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  for (int i = 1; i < n_threads; ++i) threads_.emplace_back([this, i] { worker(i); });
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(sleep_mutex_);
    stop_ = true;
    generation_.fetch_add(kMostThreads);
  }
  wake_.notify_all();
  for (std::thread& t : threads_) t.join();
}

// Threads that were absent from the last regions are left out; from time to time one more is tried.
int ThreadPool::choose_threads(int limit) {
  if (left_out_ > 0 && Clock::now() >= next_try_) --left_out_;
  const int most = most_.load(std::memory_order_relaxed);
  return std::clamp(most > 0 ? std::min(most, limit) : limit, 1, n_threads_ - left_out_);
}

// A thread that did not have a core for a quarter of a region made all others wait for it. The
// longer that lasts, the rarer the tries.
void ThreadPool::judge(int active, double seconds) {
  constexpr double kShortRegion = 200e-6;  // too short to tell
  if (seconds < kShortRegion) return;
  if (absent_.load(std::memory_order_relaxed) > 0.25 * seconds) {
    left_out_ = n_threads_ - active + 1;
    next_try_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(patience_);
    patience_ = std::min(2 * patience_, kMostPatience);
  } else if (left_out_ == 0) {
    patience_ = std::max(patience_ - patience_ / 8, kFirstPatience);
  }
}

// What of the region since `start` the calling thread spent without a core; `worked`: its processor
// time in it.
void ThreadPool::note_absence(Clock::time_point start, double worked) {
  const double absent = seconds_since(start) - worked;
  double largest = absent_.load(std::memory_order_relaxed);
  while (absent > largest && !absent_.compare_exchange_weak(largest, absent)) {
  }
}

void ThreadPool::run(const std::function<void(Region&)>& f, int limit) {
  const std::lock_guard run_lock(run_mutex_);
  const int active = choose_threads(limit);
  if (active == 1) {
    Region region(*this, 0, 1);
    f(region);
    return;
  }
  job_ = &f;
  start_ = Clock::now();
  absent_.store(0, std::memory_order_relaxed);
  arrived_.store(0, std::memory_order_relaxed);
  barrier_phase_.store(0, std::memory_order_relaxed);
  for (Counter& c : counters_) c.value.store(0, std::memory_order_relaxed);
  running_.store(active - 1, std::memory_order_relaxed);
  const uint64_t number = generation_.load(std::memory_order_relaxed) / kMostThreads + 1;
  generation_.store(number * kMostThreads + static_cast<uint64_t>(active),
                    std::memory_order_seq_cst);
  const bool asleep = sleepers_.load(std::memory_order_seq_cst) > 0;
  if (asleep) {
    const std::lock_guard lock(sleep_mutex_);
    wake_.notify_all();
  }
  const double before = thread_seconds();
  Region region(*this, 0, active);
  f(region);
  // Only the threads that took part are waited for; the others pass by the region when they next
  // run.
  wait_for([&] { return running_.load(std::memory_order_acquire) == 0; });
  note_absence(start_, thread_seconds() - before);
  // Waking up takes as long as a short region: it says nothing about other programs.
  if (!asleep) judge(active, seconds_since(start_));
}

void ThreadPool::worker(int index) {
  pthread_setname_np(pthread_self(), "lm-compute");
  uint64_t seen = 0;
  while (true) {
    const auto changed = [&] { return generation_.load(std::memory_order_seq_cst) != seen; };
    if (!spin_until(changed, kSpinsBeforeSleep)) {
      std::unique_lock lock(sleep_mutex_);
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      wake_.wait(lock, changed);
      sleepers_.fetch_sub(1, std::memory_order_seq_cst);
    }
    if (stop_) return;
    seen = generation_.load(std::memory_order_seq_cst);
    const auto active = static_cast<int>(seen % kMostThreads);
    if (index >= active) continue;
    const double before = thread_seconds();
    Region region(*this, index, active);
    (*job_)(region);
    note_absence(start_, thread_seconds() - before);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace lm
