#include "mcp/http.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "mcp/http_headers.h"
#include "mcp/http_sinks.h"

namespace lm::mcp {

struct HttpEndpoint::Connected {
  std::shared_ptr<StreamSink> stream = std::make_shared<StreamSink>();
  std::shared_ptr<Session> session;
  std::string principal;
};

namespace {

constexpr size_t kMostSessions = 1024;

bool is_modern(const HttpServerRequest& request, const Json& message) {
  if (header(request, "mcp-protocol-version") == kModernVersion) return true;
  const auto& all = protocol_versions();
  const bool older =
      std::find(all.begin() + 1, all.end(), header(request, "mcp-protocol-version")) != all.end();
  if (!older && !header(request, "mcp-method").empty()) return true;
  return message.is_object() && !asked_version(message.value("params", Json::object())).is_null();
}

bool is_method(const Json& message, const char* method) {
  return message.is_object() && message.value("method", Json()) == method;
}

bool has_request(const Json& message) {
  if (message.is_array()) return std::any_of(message.begin(), message.end(), has_request);
  return message.is_object() && message.contains("method") && message.contains("id");
}

// sessionId=... of a query; ids need no decoding.
std::string session_in(const std::string& query) {
  const size_t at = query.find("sessionId=");
  if (at == query.npos) return "";
  return query.substr(at + 10, query.find('&', at) - at - 10);
}

bool is_known(std::string_view version) {
  const auto& all = protocol_versions();
  return std::find(all.begin(), all.end(), version) != all.end();
}

std::shared_ptr<Sink> with_claims(std::shared_ptr<Sink> sink, const Identity& who) {
  if (who.principal.empty()) return sink;
  return std::make_shared<ClaimsSink>(std::move(sink), who.claims);
}

void close_when_gone(const std::shared_ptr<HttpExchange>& exchange,
                     const std::shared_ptr<Session>& session) {
  exchange->on_cancel([weak = std::weak_ptr(session)] {
    if (const auto s = weak.lock()) s->close();
  });
}

}  // namespace

void HttpEndpoint::handle(const std::shared_ptr<HttpExchange>& exchange) {
  if (!authorization_) return route(exchange, {});
  if (authorization_->answer_metadata(*exchange)) return;
  if (const auto who = authorization_->identify(*exchange)) route(exchange, *who);
}

void HttpEndpoint::route(const Exchange& exchange, const Identity& who) {
  const HttpServerRequest& r = exchange->request();
  if (r.path == "/sse" && r.method == "GET") return open_old(exchange, who);
  if (r.path == "/messages" && r.method == "POST") return post_old(exchange, who);
  if (r.path != path_) {
    exchange->answer({404, {{"content-type", "text/plain"}}, "MCP is at " + path_ + "\n"});
    return;
  }
  if (r.method == "POST") return post(exchange, who);
  if (r.method == "GET") return get(exchange, who);
  if (r.method == "DELETE") return remove(exchange, who);
  exchange->answer({405, {{"allow", "GET, POST, DELETE"}}, ""});
}

bool HttpEndpoint::may_call(HttpExchange& exchange, const Json& message,
                            const Identity& who) const {
  if (!authorization_) return true;
  std::vector<std::string> needed;
  const auto collect = [&](const Json& one) {
    if (!is_method(one, "tools/call")) return;
    for (const std::string& scope : server_->scopes_of(text_at(params_of(one), "name")))
      needed.push_back(scope);
  };
  if (message.is_array())
    std::for_each(message.begin(), message.end(), collect);
  else
    collect(message);
  return authorization_->allows(who, needed, exchange);
}

void HttpEndpoint::post(const Exchange& exchange, const Identity& who) {
  const HttpServerRequest& r = exchange->request();
  Json message;
  try {
    message = parse_message(r.body);
  } catch (const RpcError& e) {
    answer_error(*exchange, 400, nullptr, e);
    return;
  }
  const std::string_view type = header(r, "content-type");
  if (!type.empty() && type.find("json") == type.npos) {
    answer_error(*exchange, 415, nullptr, {kInvalidRequest, "expected application/json", ""});
    return;
  }
  if (!may_call(*exchange, message, who)) return;
  if (is_modern(r, message))
    post_modern(exchange, message, who);
  else
    post_legacy(exchange, message, who);
}

// Every request is a session of its own, which ends with its answer.
void HttpEndpoint::post_modern(const Exchange& exchange, const Json& message, const Identity& who) {
  const HttpServerRequest& r = exchange->request();
  const Json id = message.is_object() && message.contains("id") && is_id(message["id"])
                      ? message["id"]
                      : Json(nullptr);
  if (!message.is_object()) {
    answer_error(*exchange, 400, nullptr, {kInvalidRequest, "expected one message", ""});
    return;
  }
  const Json params = message.value("params", Json::object());
  const Json meta = params.is_object() ? params.value("_meta", Json::object()) : Json::object();
  const bool request = message.contains("id");
  const auto asked = header(r, "mcp-protocol-version");
  if (request && !meta.contains("io.modelcontextprotocol/protocolVersion")) {
    const bool known = asked == kModernVersion || asked.empty();
    answer_error(
        *exchange, 400, id,
        known ? RpcError{kInvalidParams, "_meta lacks io.modelcontextprotocol/protocolVersion", ""}
              : RpcError{kUnsupportedVersion, "the protocol version is not supported",
                         Json{{"supported", {kModernVersion}}, {"requested", asked}}.dump()});
    return;
  }
  auto problem = request ? check_headers(r, message) : std::nullopt;
  if (!problem && is_method(message, "tools/call"))
    problem = check_parameter_headers(r, message, server_->input_schema(params.value("name", "")));
  if (problem) {
    answer_error(*exchange, 400, id, *problem);
    return;
  }
  if (request && meta.contains("io.modelcontextprotocol/protocolVersion") &&
      !meta.contains("io.modelcontextprotocol/clientCapabilities")) {
    answer_error(*exchange, 400, id,
                 {kInvalidParams, "_meta lacks io.modelcontextprotocol/clientCapabilities", ""});
    return;
  }
  const auto sink = with_claims(std::make_shared<AnswerSink>(exchange, HttpHeaders{}, true), who);
  const auto session = server_->connect(std::make_shared<StreamSink>(), who.principal);
  if (!request) {
    session->receive(r.body, sink);
    exchange->answer({202, {}, ""});
    return;
  }
  // The listener of a subscription lives as long as its stream.
  exchange->on_cancel([session] { session->close(); });
  session->receive(r.body, sink);
}

void HttpEndpoint::post_legacy(const Exchange& exchange, const Json& message, const Identity& who) {
  const HttpServerRequest& r = exchange->request();
  const std::string_view version = header(r, "mcp-protocol-version");
  const Json id = message.is_object() && message.contains("id") && is_id(message["id"])
                      ? message["id"]
                      : Json(nullptr);
  if (!version.empty() && !is_known(version)) {
    answer_error(
        *exchange, 400, id,
        {kInvalidRequest, "the protocol version " + std::string(version) + " is not known", ""});
    return;
  }
  std::shared_ptr<Connected> connected;
  HttpHeaders headers;
  if (is_method(message, "initialize")) {
    auto [session_id, made] = add(who);
    connected = made;
    headers.emplace_back("mcp-session-id", session_id);
  } else {
    const std::string session_id(header(r, "mcp-session-id"));
    if (session_id.empty()) {
      answer_error(*exchange, 400, id,
                   {kInvalidRequest, "the header Mcp-Session-Id is missing", ""});
      return;
    }
    connected = find(session_id, who);
    if (!connected) {
      answer_error(*exchange, 404, id, {kInvalidRequest, "there is no such session", ""});
      return;
    }
  }
  if (!has_request(message)) {
    connected->session->receive(r.body, connected->stream);
    exchange->answer({202, {}, ""});
    return;
  }
  connected->session->receive(
      r.body, with_claims(std::make_shared<AnswerSink>(exchange, std::move(headers), false), who));
}

void HttpEndpoint::get(const Exchange& exchange, const Identity& who) {
  const HttpServerRequest& r = exchange->request();
  const std::string id(header(r, "mcp-session-id"));
  if (id.empty() || header(r, "accept").find("text/event-stream") == std::string_view::npos) {
    exchange->answer({405, {{"allow", "POST"}}, ""});
    return;
  }
  const auto connected = find(id, who);
  if (!connected) {
    exchange->answer({404, {}, ""});
    return;
  }
  connected->stream->attach(exchange, ": open\n\n");
}

void HttpEndpoint::remove(const Exchange& exchange, const Identity& who) {
  const std::string id(header(exchange->request(), "mcp-session-id"));
  const auto connected = find(id, who);
  if (!connected) {
    exchange->answer({id.empty() ? 405 : 404, {}, ""});
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    connected_.erase(id);
  }
  connected->session->close();
  connected->stream->close();
  exchange->answer({204, {}, ""});
}

// The transport of 2024-11-05: a stream that says where to post.
void HttpEndpoint::open_old(const Exchange& exchange, const Identity& who) {
  auto [id, connected] = add(who);
  close_when_gone(exchange, connected->session);
  connected->stream->attach(exchange, event("/messages?sessionId=" + id, "endpoint"));
}

void HttpEndpoint::post_old(const Exchange& exchange, const Identity& who) {
  const auto connected = find(session_in(exchange->request().query), who);
  if (!connected) {
    exchange->answer({404, {}, ""});
    return;
  }
  Json message;
  try {
    message = parse_message(exchange->request().body);
  } catch (const RpcError&) {  // the session tells of it
  }
  if (!may_call(*exchange, message, who)) return;
  exchange->answer({202, {{"content-type", "text/plain"}}, "Accepted"});
  connected->session->receive(exchange->request().body, with_claims(connected->stream, who));
}

std::shared_ptr<HttpEndpoint::Connected> HttpEndpoint::find(const std::string& id,
                                                            const Identity& who) {
  const std::lock_guard lock(mutex_);
  const auto found = connected_.find(id);
  if (found == connected_.end() || found->second->principal != who.principal) return nullptr;
  return found->second;
}

std::pair<std::string, std::shared_ptr<HttpEndpoint::Connected>> HttpEndpoint::add(
    const Identity& who) {
  auto connected = std::make_shared<Connected>();
  connected->principal = who.principal;
  connected->session = server_->connect(connected->stream, who.principal);
  const std::string id = unguessable_id();
  const std::lock_guard lock(mutex_);
  if (connected_.size() >= kMostSessions) {  // clients seldom say goodbye
    connected_.begin()->second->session->close();
    connected_.erase(connected_.begin());
  }
  connected_.emplace(id, connected);
  return {id, connected};
}

}  // namespace lm::mcp
