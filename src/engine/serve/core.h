// What all requests of a server share.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>

#include "engine/api/http_server.h"
#include "engine/api/serve.h"
#include "engine/serve/access.h"
#include "engine/serve/metrics.h"
#include "engine/serve/models.h"
#include "engine/serve/store.h"

namespace lm::serve {

class Batches;

// Compiled constraints, so that a schema that comes with every request is compiled once.
class ConstraintCache {
 public:
  std::shared_ptr<const Constraint> get(const ConstraintOptions& options,
                                        const std::shared_ptr<const Tokenizer>& tokenizer);

 private:
  struct Entry {
    std::shared_ptr<const Tokenizer> tokenizer;
    std::shared_ptr<const Constraint> constraint;
    uint64_t used = 0;
  };
  static constexpr size_t kMost = 32;
  std::mutex mutex_;
  uint64_t clock_ = 0;
  std::map<std::string, Entry> entries_;
};

struct Core {
  explicit Core(const ServeOptions& o)
      : options(o),
        access({o.api_keys, o.requests_per_minute, o.concurrent_requests}),
        store(o.state) {}

  const ServeOptions options;
  Models models;
  Metrics metrics;
  Access access;
  ConstraintCache constraints;
  Store store;
  const std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
  // Set by the server; null before it is up.
  HttpServer* http = nullptr;
  Batches* batches = nullptr;

  std::shared_ptr<const ServeHooks> hooks() const {
    const std::lock_guard lock(hooks_mutex_);
    return hooks_;
  }
  void set_hooks(ServeHooks hooks) {
    const std::lock_guard lock(hooks_mutex_);
    hooks_ = std::make_shared<const ServeHooks>(std::move(hooks));
  }

 private:
  mutable std::mutex hooks_mutex_;
  std::shared_ptr<const ServeHooks> hooks_ = std::make_shared<const ServeHooks>();
};

}  // namespace lm::serve
