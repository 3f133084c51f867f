#include "engine/core/thread_pool.h"

#include <pthread.h>

#include <csignal>
#include <cstdlib>

#include "engine/core/cpu_features.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define LM_PAUSE() _mm_pause()
#else
#define LM_PAUSE() std::this_thread::yield()
#endif

namespace lm {
namespace {

// Spins for a while (the wait between two phases or two tokens is microseconds), then gives the core away in turns so
// that a busy machine makes progress. Returns false when `spins` ran out.
template <typename Ready>
bool spin_until(Ready ready, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (ready()) return true;
    if ((i & 1023) == 1023) std::this_thread::yield();
    else LM_PAUSE();
  }
  return ready();
}

constexpr int kSpinsBeforeSleep = 20000;  // some 0.5 ms: longer than the gap between two tokens

int pool_size() {
  if (const char* text = std::getenv("LMFAST_THREADS")) {
    const int n = std::atoi(text);
    if (n >= 1 && n <= 1024) return n;
  }
  return available_cores();
}

}  // namespace

std::atomic<int64_t>& Region::counter() { return pool_.counters_[phase_ % 3].value; }

// Phase p uses counter p % 3. The last thread to arrive clears the counter of phase p + 2, which nobody can be using:
// its previous user was phase p - 1.
void Region::barrier() {
  const uint32_t phase = phase_++;
  if (n_threads_ == 1) return;
  if (pool_.arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == n_threads_) {
    pool_.counters_[(phase + 2) % 3].value.store(0, std::memory_order_relaxed);
    pool_.arrived_.store(0, std::memory_order_relaxed);
    pool_.barrier_phase_.store(phase + 1, std::memory_order_release);
    return;
  }
  while (!spin_until([&] { return pool_.barrier_phase_.load(std::memory_order_acquire) == phase + 1; }, kSpinsBeforeSleep)) {
  }
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
    generation_.fetch_add(1);
  }
  wake_.notify_all();
  for (std::thread& t : threads_) t.join();
}

void ThreadPool::run(const std::function<void(Region&)>& f, int limit) {
  const std::lock_guard run_lock(run_mutex_);
  const int active = std::clamp(limit, 1, n_threads_);
  if (active == 1) {
    Region region(*this, 0, 1);
    f(region);
    return;
  }
  job_ = &f;
  active_ = active;
  arrived_.store(0, std::memory_order_relaxed);
  barrier_phase_.store(0, std::memory_order_relaxed);
  for (Counter& c : counters_) c.value.store(0, std::memory_order_relaxed);
  running_.store(n_threads_ - 1, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) {
    const std::lock_guard lock(sleep_mutex_);
    wake_.notify_all();
  }
  Region region(*this, 0, active);
  f(region);
  while (!spin_until([&] { return running_.load(std::memory_order_acquire) == 0; }, kSpinsBeforeSleep)) {
  }
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
    if (index < active_) {
      Region region(*this, index, active_);
      (*job_)(region);
    }
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace lm
