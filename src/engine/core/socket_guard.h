// Ends network work from another thread: the thread that may be interrupted holds the guard, the
// threads that block in sockets register those here. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace lm {

// A socket that is being watched; a duplicate of the descriptor keeps a number that was closed
// meanwhile from meaning another file.
class WatchedSocket {
 public:
  explicit WatchedSocket(int fd);
  ~WatchedSocket();
  WatchedSocket(const WatchedSocket&) = delete;
  WatchedSocket& operator=(const WatchedSocket&) = delete;

  // Payload bytes that reached the reader. What came over the wire and is not payload (headers,
  // framing) is bounded by SocketGuard::check_floods.
  std::atomic<uint64_t> delivered{0};

 private:
  friend class SocketGuard;
  void shut_down() const;
  uint64_t received() const;  // bytes of the TCP stream; 0 where the system does not tell
  int fd_;
};

class SocketGuard {
 public:
  // Registers a socket while the result lives. A guard that was stopped shuts it down at once.
  std::shared_ptr<WatchedSocket> watch(int fd);

  // Shuts all sockets down, those being connected too, and ends all sleeps; for good.
  void stop();
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

  // Shuts down connections that received far more than they delivered: endless headers or framing.
  void check_floods();

  // Waits; false when the guard was stopped.
  bool sleep(std::chrono::duration<double> time);

 private:
  std::vector<std::shared_ptr<WatchedSocket>> live();

  std::atomic<bool> stopped_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::weak_ptr<WatchedSocket>> sockets_;
};

}  // namespace lm
