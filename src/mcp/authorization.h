// Who may ask over HTTP: the resource server's side of OAuth 2.1, as the Model Context Protocol
// wants it (RFC 6750, RFC 9728). What a token says is found out elsewhere, and kept for a while.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/api/http_server.h"

namespace lm::mcp {

// Who asks, as a token says.
struct Identity {
  std::string principal;  // the same for the same one; "" where nobody asks for tokens
  std::vector<std::string> scopes;
  std::string claims;  // JSON: all that the token says
};

// A token that somebody is to look at.
class TokenQuestion {
 public:
  explicit TokenQuestion(std::string token) : token_(std::move(token)) {}
  const std::string& token() const { return token_; }
  // Once, from any thread. JSON: {principal, scopes, claims, seconds: how long that may be taken
  // for true}, or {error: why not}.
  void settle(std::string answer) { answer_.set_value(std::move(answer)); }
  std::future<std::string> answer() { return answer_.get_future(); }

 private:
  const std::string token_;
  std::promise<std::string> answer_;
};

struct AuthorizationOptions {
  std::string resource;             // this server's address, which tokens must be for
  std::string metadata;             // JSON (RFC 9728)
  std::vector<std::string> scopes;  // without these nothing is answered
  // Looks at a token; must not block.
  std::function<void(std::shared_ptr<TokenQuestion>)> verify;
  std::chrono::milliseconds patience{15000};  // with verify
};

class Authorization {
 public:
  explicit Authorization(AuthorizationOptions options);

  // Answers requests for the metadata; false for all others.
  bool answer_metadata(HttpExchange& exchange) const;
  // Who asks. Nothing: it was answered, with 401, 400, 403 or 503.
  std::optional<Identity> identify(HttpExchange& exchange);
  // Whether a token allows all of these scopes; false: it was answered, with 403.
  bool allows(const Identity& who, const std::vector<std::string>& needed,
              HttpExchange& exchange) const;

 private:
  struct Known {
    Identity who;
    std::chrono::steady_clock::time_point until;
  };
  std::optional<Identity> look_up(const std::string& token);
  std::optional<Identity> ask(const std::string& token, HttpExchange& exchange);
  void refuse(HttpExchange& exchange, int status, const std::string& error,
              const std::string& description, const std::vector<std::string>& scopes) const;

  const AuthorizationOptions options_;
  std::string metadata_path_, metadata_url_;
  std::mutex mutex_;
  std::map<std::string, Known> known_;  // by token
};

// The token of a header Authorization: Bearer TOKEN (RFC 6750); nothing when it is no such header.
std::optional<std::string> bearer_token(std::string_view header);

}  // namespace lm::mcp
