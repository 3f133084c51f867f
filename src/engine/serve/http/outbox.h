// What one answer has to send: written by a worker, taken by the server's thread. Thread-safe.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>

namespace lm::http {

class Outbox {
 public:
  explicit Outbox(size_t limit) : limit_(limit) {}

  // Adds bytes; true: the server's thread must be told, for it may be asleep.
  bool add(std::string_view head, std::string_view bytes = {}, std::string_view tail = {});
  // Waits until less than the limit is unsent; false when it was closed.
  bool wait_for_room();
  // No more bytes follow. True as add().
  bool finish();

  // The server's side: takes what is there into `out`; false: nothing. *finished: and nothing will
  // come. Until a call says false, the other side does not call.
  bool take(std::string* out, bool* finished);
  void sent(size_t n);
  // Nobody reads any more.
  void close();

 private:
  const size_t limit_;
  std::mutex mutex_;
  std::condition_variable room_;
  std::string bytes_;
  size_t unsent_ = 0;
  bool told_ = false, finished_ = false, closed_ = false;
};

}  // namespace lm::http
