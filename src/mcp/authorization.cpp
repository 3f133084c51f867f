#include "mcp/authorization.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "mcp/http_headers.h"

namespace lm::mcp {
namespace {

constexpr const char* kWellKnown = "/.well-known/oauth-protected-resource";
constexpr size_t kMostToken = 16 << 10, kMostKnown = 4096;
constexpr double kMostKept = 3600;  // seconds

bool is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~' || c == '+' || c == '/';
}

bool equal_without_case(std::string_view a, std::string_view lower) {
  return std::equal(a.begin(), a.end(), lower.begin(), lower.end(), [](char x, char y) {
    return (x >= 'A' && x <= 'Z' ? static_cast<char>(x + 32) : x) == y;
  });
}

std::string joined(const std::vector<std::string>& scopes) {
  std::string all;
  for (const std::string& scope : scopes) all += (all.empty() ? "" : " ") + scope;
  return all;
}

// A value between quotes; what cannot stand there is left out.
std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text)
    if (c >= ' ' && c <= '~' && c != '"' && c != '\\') out += c;
  return out + "\"";
}

// Where the path of an address begins.
size_t path_at(const std::string& url) {
  const size_t scheme = url.find("://");
  return std::min(url.find('/', scheme == url.npos ? 0 : scheme + 3), url.size());
}

}  // namespace

std::optional<std::string> bearer_token(std::string_view header) {
  constexpr std::string_view kScheme = "bearer";
  if (header.size() > kMostToken || header.size() <= kScheme.size() ||
      !equal_without_case(header.substr(0, kScheme.size()), kScheme) ||
      header[kScheme.size()] != ' ')
    return std::nullopt;
  const size_t begin = header.find_first_not_of(' ', kScheme.size());
  if (begin == header.npos) return std::nullopt;
  const std::string_view token = header.substr(begin);
  const auto padding = std::find_if_not(token.begin(), token.end(), is_token_char);
  if (padding == token.begin() ||
      !std::all_of(padding, token.end(), [](char c) { return c == '='; }))
    return std::nullopt;
  return std::string(token);
}

Authorization::Authorization(AuthorizationOptions options) : options_(std::move(options)) {
  const size_t at = path_at(options_.resource);
  const std::string path = options_.resource.substr(at);
  metadata_path_ = kWellKnown + (path == "/" ? "" : path);
  metadata_url_ = options_.resource.substr(0, at) + metadata_path_;
}

bool Authorization::answer_metadata(HttpExchange& exchange) const {
  const HttpServerRequest& r = exchange.request();
  if (r.path != kWellKnown && r.path != metadata_path_) return false;
  if (r.method == "GET")
    exchange.answer({200,
                     {{"content-type", "application/json"}, {"cache-control", "max-age=3600"}},
                     options_.metadata});
  else
    exchange.answer({405, {{"allow", "GET"}}, ""});
  return true;
}

// The status and the header WWW-Authenticate (RFC 6750, section 3; RFC 9728, section 5.1).
void Authorization::refuse(HttpExchange& exchange, int status, const std::string& error,
                           const std::string& description,
                           const std::vector<std::string>& scopes) const {
  std::string challenge = "Bearer resource_metadata=" + in_quotes(metadata_url_);
  if (!error.empty())
    challenge += ", error=" + in_quotes(error) + ", error_description=" + in_quotes(description);
  if (!scopes.empty()) challenge += ", scope=" + in_quotes(joined(scopes));
  const Json body = {{"error", error.empty() ? "unauthorized" : error},
                     {"error_description", description}};
  exchange.answer({status,
                   {{"content-type", "application/json"}, {"www-authenticate", challenge}},
                   body.dump(-1, ' ', false, Json::error_handler_t::replace)});
}

std::optional<Identity> Authorization::identify(HttpExchange& exchange) {
  const HttpServerRequest& r = exchange.request();
  const auto n = std::count_if(r.headers.begin(), r.headers.end(),
                               [](const auto& h) { return h.first == "authorization"; });
  if (n == 0) {
    refuse(exchange, 401, "", "a token is needed", options_.scopes);
    return std::nullopt;
  }
  const auto token = bearer_token(header(r, "authorization"));
  if (n > 1 || !token) {
    refuse(exchange, n > 1 ? 400 : 401, "invalid_request",
           "expected one header Authorization: Bearer TOKEN", options_.scopes);
    return std::nullopt;
  }
  auto who = look_up(*token);
  if (!who) who = ask(*token, exchange);
  if (who && !allows(*who, options_.scopes, exchange)) return std::nullopt;
  return who;
}

// Has a token looked at that is not known.
std::optional<Identity> Authorization::ask(const std::string& token, HttpExchange& exchange) {
  const auto question = std::make_shared<TokenQuestion>(token);
  auto future = question->answer();
  options_.verify(question);
  if (future.wait_for(options_.patience) != std::future_status::ready) {
    exchange.answer({503, {{"retry-after", "5"}}, "the token could not be checked in time\n"});
    return std::nullopt;
  }
  const Json answer = Json::parse(future.get(), nullptr, false);
  const std::string principal = text_at(answer, "principal");
  if (principal.empty()) {
    refuse(exchange, 401, "invalid_token", text_at(answer, "error"), options_.scopes);
    return std::nullopt;
  }
  Identity who{principal, texts_at(answer, "scopes"),
               answer.value("claims", Json::object()).dump()};
  const Json seconds = answer.value("seconds", Json());
  const double kept = std::clamp(seconds.is_number() ? seconds.get<double>() : 0.0, 0.0, kMostKept);
  const std::lock_guard lock(mutex_);
  if (known_.size() >= kMostKnown) known_.clear();
  known_[token] = {who, std::chrono::steady_clock::now() +
                            std::chrono::milliseconds(static_cast<int64_t>(kept * 1000))};
  return who;
}

std::optional<Identity> Authorization::look_up(const std::string& token) {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(token);
  if (found == known_.end()) return std::nullopt;
  if (found->second.until > std::chrono::steady_clock::now()) return found->second.who;
  known_.erase(found);
  return std::nullopt;
}

// What is asked for in the end is all that the token had and the call needs: who steps up must not
// lose what it may do already.
bool Authorization::allows(const Identity& who, const std::vector<std::string>& needed,
                           HttpExchange& exchange) const {
  const auto has = [&](const std::string& scope) {
    return std::find(who.scopes.begin(), who.scopes.end(), scope) != who.scopes.end();
  };
  if (std::all_of(needed.begin(), needed.end(), has)) return true;
  std::vector<std::string> all = options_.scopes;
  for (const std::string& scope : needed)
    if (std::find(all.begin(), all.end(), scope) == all.end()) all.push_back(scope);
  refuse(exchange, 403, "insufficient_scope", "the token does not allow " + joined(needed), all);
  return false;
}

}  // namespace lm::mcp
