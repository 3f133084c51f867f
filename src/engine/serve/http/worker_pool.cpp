#include "engine/serve/http/worker_pool.h"

#include <csignal>
#include <exception>

namespace lm::http {

std::thread start_thread(std::function<void()> body) {
  sigset_t all, previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  std::thread thread;
  try {
    thread = std::thread(std::move(body));
  } catch (const std::exception&) {
    pthread_sigmask(SIG_SETMASK, &previous, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  return thread;
}

bool WorkerPool::submit(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_ || (line_.size() >= idle_ + queue_limit_ && threads_.size() >= most_))
      return false;
    line_.push_back(std::move(work));
    if (idle_ < line_.size() && threads_.size() < most_) {
      try {
        threads_.push_back(start_thread([this] { run(); }));
      } catch (const std::exception&) {
        if (threads_.empty()) {
          line_.pop_back();
          return false;
        }
      }
    }
  }
  changed_.notify_one();
  return true;
}

void WorkerPool::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    changed_.wait(lock, [&] { return stopped_ || !line_.empty(); });
    --idle_;
    if (line_.empty()) return;
    auto work = std::move(line_.front());
    line_.pop_front();
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
  }
}

int64_t WorkerPool::waiting() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(line_.size());
}

int64_t WorkerPool::running() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(threads_.size() - idle_);
}

void WorkerPool::stop() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    threads.swap(threads_);
  }
  changed_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace lm::http
