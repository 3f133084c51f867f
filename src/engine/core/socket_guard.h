// Ends network work from another thread: the thread that may be interrupted holds the guard, the
// threads that block in sockets register those here. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

namespace lm {

// A duplicate of a descriptor: a number that was closed meanwhile cannot mean another file.
class WatchedSocket {
 public:
  explicit WatchedSocket(int fd);
  ~WatchedSocket();
  WatchedSocket(const WatchedSocket&) = delete;
  WatchedSocket& operator=(const WatchedSocket&) = delete;
  void shut_down() const;

 private:
  int fd_;
};

class SocketGuard {
 public:
  // Registers a socket while the result lives. A guard that was stopped shuts it down at once.
  std::shared_ptr<WatchedSocket> watch(int fd);

  // Shuts all sockets down, those being connected too, and ends all sleeps; for good.
  void stop();
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

  // Waits; false when the guard was stopped.
  bool sleep(std::chrono::duration<double> time);

 private:
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::weak_ptr<WatchedSocket>> sockets_;
};

}  // namespace lm
