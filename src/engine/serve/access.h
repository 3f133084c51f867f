// Who may ask, and how much: API keys, rates, requests at the same time. Thread-safe.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/api/http_server.h"

namespace lm::serve {

struct AccessOptions {
  std::vector<std::string> keys;  // empty: nobody needs one
  double requests_per_minute = 0;
  int64_t concurrent_requests = 0;
};

class Access {
 public:
  explicit Access(const AccessOptions& options);

  // Says who asks: the number of the key from 1 on, or the peer's address where there are no keys.
  // Takes "Authorization: Bearer KEY" or "x-api-key: KEY"; compares in constant time. Throws
  // ApiError 401.
  std::string identify(const HttpServerRequest& request) const;

  // A request that runs; ends with the object.
  class Pass {
   public:
    Pass() = default;
    Pass(Access* access, std::string who) : access_(access), who_(std::move(who)) {}
    Pass(Pass&& other) noexcept
        : access_(std::exchange(other.access_, nullptr)), who_(std::move(other.who_)) {}
    Pass& operator=(Pass&&) = delete;
    ~Pass();

   private:
    Access* access_ = nullptr;
    std::string who_;
  };
  // Throws ApiError 429; *retry_after_s says when to come again.
  Pass enter(const std::string& who, double* retry_after_s);

 private:
  using Clock = std::chrono::steady_clock;
  using Hash = std::array<unsigned char, 32>;
  struct Account {
    double allowance = 0;
    Clock::time_point seen;
    int64_t running = 0;
  };
  static Hash hash(const std::string& key);

  const AccessOptions options_;
  std::vector<Hash> hashes_;
  std::mutex mutex_;
  std::unordered_map<std::string, Account> accounts_;
};

}  // namespace lm::serve
