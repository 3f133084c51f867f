#include "engine/serve/access.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>

#include "engine/serve/api_error.h"

namespace lm::serve {
namespace {

constexpr size_t kMostAccounts = 10000;  // of addresses; older ones are forgotten

std::string given_key(const HttpServerRequest& request) {
  const std::string_view bearer = request.header("authorization");
  if (bearer.size() > 7 && (bearer.starts_with("Bearer ") || bearer.starts_with("bearer ")))
    return std::string(bearer.substr(7));
  return std::string(request.header("x-api-key"));
}

}  // namespace

// Hashes are of one length, so that comparing them tells nothing of the key's.
Access::Hash Access::hash(const std::string& key) {
  Hash out;
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), out.data());
  return out;
}

Access::Access(const AccessOptions& options) : options_(options) {
  for (const std::string& key : options.keys) {
    LM_CHECK(!key.empty(), ErrorCode::bad_option, "an API key is empty");
    hashes_.push_back(hash(key));
  }
}

std::string Access::identify(const HttpServerRequest& request) const {
  if (hashes_.empty()) return request.peer;
  const std::string key = given_key(request);
  const Hash mine = hash(key);
  size_t found = 0;
  for (size_t i = 0; i < hashes_.size(); ++i)
    if (CRYPTO_memcmp(mine.data(), hashes_[i].data(), mine.size()) == 0) found = i + 1;
  if (found == 0)
    throw ApiError(401,
                   key.empty() ? "this server asks for an API key: Authorization: Bearer KEY"
                               : "the API key is wrong",
                   "", "invalid_api_key");
  return "key " + std::to_string(found);
}

Access::Pass Access::enter(const std::string& who, double* retry_after_s) {
  if (options_.requests_per_minute <= 0 && options_.concurrent_requests <= 0) return {};
  const std::lock_guard lock(mutex_);
  if (accounts_.size() > kMostAccounts)
    std::erase_if(accounts_, [](const auto& a) { return a.second.running == 0; });
  const auto now = Clock::now();
  const double most = std::max(1.0, options_.requests_per_minute);
  const auto [it, is_new] = accounts_.try_emplace(who, Account{most, now, 0});
  Account& account = it->second;
  if (options_.concurrent_requests > 0 && account.running >= options_.concurrent_requests) {
    *retry_after_s = 1;
    throw ApiError(429,
                   fmt::format("{} requests of this key run already; the limit is {}",
                               account.running, options_.concurrent_requests),
                   "", "rate_limit_exceeded");
  }
  if (options_.requests_per_minute > 0) {
    const double seconds = std::chrono::duration<double>(now - account.seen).count();
    const double rate = options_.requests_per_minute / 60;
    account.allowance = std::min(most, account.allowance + seconds * rate);
    account.seen = now;
    if (account.allowance < 1) {
      *retry_after_s = (1 - account.allowance) / rate;
      throw ApiError(429,
                     fmt::format("more than {} requests a minute; try again in {:.1f} s",
                                 options_.requests_per_minute, *retry_after_s),
                     "", "rate_limit_exceeded");
    }
    account.allowance -= 1;
  }
  ++account.running;
  return Pass(this, who);
}

Access::Pass::~Pass() {
  if (!access_) return;
  const std::lock_guard lock(access_->mutex_);
  const auto it = access_->accounts_.find(who_);
  if (it != access_->accounts_.end()) --it->second.running;
}

}  // namespace lm::serve
