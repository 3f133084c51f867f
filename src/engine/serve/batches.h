// Batches: files of requests that are answered in the background. Every answer is kept as soon as
// it is there; after a restart the rest is answered.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/api/http_server.h"
#include "engine/serve/json.h"
#include "engine/serve/store.h"

namespace lm::serve {

class Batches {
 public:
  using Answer = std::function<void(std::shared_ptr<HttpExchange>)>;

  // answer: how a request is answered.
  Batches(Store& store, Answer answer);
  ~Batches() { stop(); }
  Batches(const Batches&) = delete;
  Batches& operator=(const Batches&) = delete;

  // A new batch of the lines of a file; returns its description. Throws ApiError 400, 404.
  Json create(const std::string& file, const std::string& endpoint, const Json& metadata);
  // Throws ApiError 404.
  Json get(const std::string& id) const;
  Json list() const;
  Json cancel(const std::string& id);
  // Goes on with what the store has unfinished.
  void resume();
  // What runs is cancelled; resume() of the next server goes on with it.
  void stop();

 private:
  struct Line;
  void run();
  void run_batch(const std::string& id);
  void answer_lines(const std::string& id, const std::vector<Line>& lines);
  void answer_line(const std::string& id, const Line& line);
  void finish(const std::string& id, size_t n_lines);
  void set_status(const std::string& id, const char* status);
  bool ended(const std::string& id) const;

  Store& store_;
  const Answer answer_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> line_;     // ids of batches that wait
  std::string running_;              // the batch that is being answered
  std::atomic<bool> stop_{false};    // the server ends
  std::atomic<bool> cancel_{false};  // what runs now is to end
  std::thread thread_;
};

}  // namespace lm::serve
