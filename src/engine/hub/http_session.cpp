#include "engine/hub/http_session.h"

#include <algorithm>
#include <cmath>

#include "engine/core/socket_guard.h"

namespace lm {
namespace {

constexpr int kMaxRedirects = 10;
constexpr double kFirstPause = 0.5, kLongestPause = 8, kLongestRetryAfter = 300;

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string user_agent() {
  return "lmfast/" LM_VERSION;
}

}  // namespace

HttpConnection& HttpSession::connection(const Url& url) {
  auto& kept = connections_[url.origin_text()];
  if (!kept) {
    HttpOptions options;
    options.read_timeout_s = options_.read_timeout_s;
    kept = net_api().connect(url.origin, options, guard_);
  }
  return *kept;
}

HttpSession::Final HttpSession::send(const std::string& method, Url url, const HttpHeaders& headers,
                                     const Handlers& handlers, bool follow) {
  const Url first = url;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    HttpRequest request{method, url.target, headers};
    request.headers.emplace_back("User-Agent", user_agent());
    request.headers.emplace_back("Accept-Encoding", "identity");
    if (!options_.token.empty() && url.origin_text() == options_.token_origin)
      request.headers.emplace_back("Authorization", "Bearer " + options_.token);
    HttpReply reply;
    bool redirected = false;
    size_t ignored = 0;
    HttpSink sink;
    sink.on_headers = [&](const HttpReply& r) {
      reply = r;
      redirected = follow && is_redirect(r.status) && !r.header("location").empty();
      if (handlers.on_hop) handlers.on_hop(r, url);
      if (!redirected && handlers.on_headers) handlers.on_headers(r);
      return true;
    };
    sink.on_data = [&](std::string_view data) {
      if (redirected) return (ignored += data.size()) < (1 << 16);
      if (handlers.on_data) handlers.on_data(data);
      return true;
    };
    connection(url).send(request, sink);
    if (!redirected) return {std::move(reply), url};
    Url next = resolve_url(url, reply.header("location"));
    LM_CHECK(url.origin.scheme != "https" || next.origin.scheme == "https", ErrorCode::denied,
             "{} redirects to {}, without encryption", url.origin_text(), next.origin_text());
    url = std::move(next);
  }
  throw Error(ErrorCode::denied,
              fmt::format("{} redirects more than {} times", first.text(), kMaxRedirects));
}

HttpSession::Final HttpSession::get_text(const Url& url, size_t max_bytes, std::string* body) {
  body->clear();
  Handlers handlers;
  handlers.on_data = [&](std::string_view data) {
    LM_CHECK(body->size() + data.size() <= max_bytes, ErrorCode::bad_file,
             "{}: the answer is larger than {} bytes", url.text(), max_bytes);
    *body += data;
  };
  return send("GET", url, {{"Accept", "application/json"}}, handlers);
}

bool is_transient(const Error& error) {
  return error.code() == ErrorCode::network || error.code() == ErrorCode::timeout;
}

void with_retries(int retries, SocketGuard& guard, const std::function<void()>& attempt,
                  const std::function<bool()>& has_progressed) {
  for (int failures = 0;;) {
    double pause = 0;
    try {
      return attempt();
    } catch (const Error& e) {
      if (guard.stopped() || !is_transient(e)) throw;
      if (has_progressed && has_progressed()) failures = 0;
      if (++failures > retries) throw;
      pause = std::min(kLongestPause, kFirstPause * std::pow(2.0, failures - 1));
      const auto* asked = dynamic_cast<const RetryError*>(&e);
      if (asked && asked->after_s() > kLongestRetryAfter)
        throw Error(e.code(),
                    fmt::format("{}; it asks to wait {:.0f} s", e.message(), asked->after_s()));
      if (asked && asked->after_s() >= 0) pause = asked->after_s();
    }
    if (!guard.sleep(std::chrono::duration<double>(pause)))
      throw Error(ErrorCode::interrupted, "interrupted");
  }
}

}  // namespace lm
