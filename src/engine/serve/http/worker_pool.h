// Threads that answer requests, and the line before them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace lm::http {

class WorkerPool {
 public:
  // Threads are started when they are needed, `workers` at most; up to `queue` pieces wait.
  WorkerPool(size_t workers, size_t queue) : most_(workers), queue_limit_(queue) {}
  ~WorkerPool() { stop(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // False: the line is full, or stop() was called. The work must not throw.
  bool submit(std::function<void()> work);
  int64_t waiting() const;
  int64_t running() const;
  // Runs what waits, then ends the threads.
  void stop();

 private:
  void run();

  const size_t most_, queue_limit_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> line_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0;
  bool stopped_ = false;
};

// Starts a thread that takes no signals: those are the main thread's.
std::thread start_thread(std::function<void()> body);

}  // namespace lm::http
