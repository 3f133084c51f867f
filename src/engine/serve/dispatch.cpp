#include "engine/serve/dispatch.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/serve/call.h"
#include "engine/serve/local_exchange.h"

namespace lm::serve {
namespace {

using Clock = std::chrono::steady_clock;

// The client's own id, as far as it is harmless, or a new one.
std::string request_id(const HttpServerRequest& request) {
  const std::string_view given = request.header("x-request-id");
  const bool fine =
      !given.empty() && given.size() <= 128 && std::all_of(given.begin(), given.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '-' || c == '_' || c == '.';
      });
  return fine ? std::string(given) : new_id("req_");
}

void read_body(Call& call) {
  if (call.route.fields.empty()) return;
  if (call.http.request().body.empty())
    throw ApiError(400, "the request has no body; expected JSON");
  call.set_body(parse_body(call.http.request().body));
}

// Lets on_request change the body or refuse it. Quick routes must not wait for the prompt.
void ask_hook(Call& call) {
  const auto hooks = call.core.hooks();
  if (!hooks->on_request || call.route.quick) return;
  const HttpServerRequest& request = call.http.request();
  const Json question = {
      {"id", call.id},        {"route", call.route.path}, {"method", request.method},
      {"path", request.path}, {"key", call.who},          {"body", call.body()}};
  const std::string changed = hooks->on_request(dump(question));
  if (!changed.empty()) call.set_body(parse_body(changed));
}

void log_line(Call& call, double seconds) {
  if (!call.core.options.on_log || call.route.access == Route::Access::open) return;
  const HttpServerRequest& request = call.http.request();
  std::string line = fmt::format("{} {} {}", request.method, request.path, call.http.status());
  if (call.http.cancelled() && call.completion_tokens > 0) line += " cancelled";
  if (!call.model.empty()) line += "  " + call.model;
  if (call.prompt_tokens > 0)
    line += fmt::format("  {} + {} tokens", call.prompt_tokens, call.completion_tokens);
  call.core.options.on_log(line + fmt::format("  {:.2f} s", seconds));
}

// Runs the route; every error becomes an answer.
void run(Call& call) {
  double retry_after_s = 0;
  try {
    const bool own = call.http.request().peer == kOwnPeer;
    if (own)
      call.who = kOwnPeer;
    else if (call.route.access == Route::Access::key)
      call.who = call.core.access.identify(call.http.request());
    const auto pass =
        call.route.quick || own ? Access::Pass() : call.core.access.enter(call.who, &retry_after_s);
    read_body(call);
    ask_hook(call);
    check_fields(call.route.fields, call.body(), call.core.options.ignore_unknown_fields);
    const CancelScope scope(&call.http.cancelled());
    call.route.handle(call);
  } catch (const ApiError& error) {
    if (retry_after_s > 0) {
      HttpHeaders headers = call.headers("application/json");
      headers.emplace_back("retry-after", std::to_string(std::lround(std::ceil(retry_after_s))));
      call.http.answer(
          {error.status(), std::move(headers), error_body(call.route.dialect, error, call.id)});
    } else {
      call.fail(error);
    }
  } catch (const Error& error) {
    call.fail(ApiError(error));
  } catch (const std::exception& error) {
    call.fail(ApiError(500, error.what()));
  }
}

// CORS: the server has checked the origin already.
void answer_options(HttpExchange& http, const std::string& allowed) {
  const HttpServerRequest& request = http.request();
  HttpHeaders headers = {{"allow", allowed + ", OPTIONS"}};
  const std::string origin(request.header("origin"));
  if (!origin.empty() && !request.header("access-control-request-method").empty()) {
    headers.emplace_back("access-control-allow-origin", origin);
    headers.emplace_back("access-control-allow-methods", allowed);
    headers.emplace_back("access-control-allow-headers",
                         std::string(request.header("access-control-request-headers")));
    headers.emplace_back("access-control-max-age", "600");
    headers.emplace_back("vary", "origin");
  }
  http.answer({204, std::move(headers), ""});
}

HttpAnswer refuse(const HttpServerRequest& request, int status, const std::string& message) {
  const Dialect dialect = dialect_of(request.path);
  const ApiError error(status, message, "",
                       status == 429   ? "server_busy"
                       : status == 413 ? "request_too_large"
                                       : "");
  const std::string id = request_id(request);
  return {error_status(dialect, error),
          {{"content-type", "application/json"}, {"x-request-id", id}},
          error_body(dialect, error, id)};
}

void handle(Core& core, HttpExchange& http) {
  const auto start = Clock::now();
  const HttpServerRequest& request = http.request();
  std::string id, allowed;
  const Route* route = find_route(request.method, request.path, &id, &allowed);
  if (!route) {
    if (request.method == "OPTIONS" && !allowed.empty()) return answer_options(http, allowed);
    HttpAnswer answer =
        allowed.empty()
            ? refuse(request, 404, fmt::format("there is no {} {}", request.method, request.path))
            : refuse(request, 405, fmt::format("{} takes {}", request.path, allowed));
    if (!allowed.empty()) answer.headers.emplace_back("allow", allowed);
    core.metrics.count_request("other", answer.status);
    return http.answer(std::move(answer));
  }
  Call call(core, *route, http, request_id(request));
  call.path_id = id;
  run(call);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  core.metrics.count_request(route->path, http.status());
  core.metrics.request_seconds.add(seconds);
  log_line(call, seconds);
}

}  // namespace

HttpHandlers make_handlers(Core& core) {
  HttpHandlers handlers;
  handlers.handle = [&core](const std::shared_ptr<HttpExchange>& http) { handle(core, *http); };
  handlers.is_quick = [](const HttpServerRequest& request) {
    std::string id, allowed;
    const Route* route = find_route(request.method, request.path, &id, &allowed);
    return route == nullptr || route->quick;
  };
  handlers.refuse = refuse;
  return handlers;
}

}  // namespace lm::serve
