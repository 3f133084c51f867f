// The Streamable HTTP transport, and the older one with two addresses: what a server answers to
// POST, GET and DELETE. Origin and Host are checked by the HTTP server before.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "engine/api/http_server.h"
#include "mcp/authorization.h"
#include "mcp/server.h"

namespace lm::mcp {

class HttpEndpoint {
 public:
  // path: where messages go ("/mcp"); "/sse" and "/messages" are the older transport's.
  // authorization: who may ask; null: everybody.
  HttpEndpoint(std::shared_ptr<Server> server, std::string path,
               std::unique_ptr<Authorization> authorization = nullptr)
      : server_(std::move(server)),
        path_(std::move(path)),
        authorization_(std::move(authorization)) {}

  void handle(const std::shared_ptr<HttpExchange>& exchange);

 private:
  struct Connected;  // a session of the revisions that have them

  using Exchange = std::shared_ptr<HttpExchange>;
  void route(const Exchange& exchange, const Identity& who);
  void post(const Exchange& exchange, const Identity& who);
  void post_modern(const Exchange& exchange, const Json& message, const Identity& who);
  void post_legacy(const Exchange& exchange, const Json& message, const Identity& who);
  void get(const Exchange& exchange, const Identity& who);
  void remove(const Exchange& exchange, const Identity& who);
  void open_old(const Exchange& exchange, const Identity& who);
  void post_old(const Exchange& exchange, const Identity& who);
  // Whether the calls in a message are allowed; false: that was answered.
  bool may_call(HttpExchange& exchange, const Json& message, const Identity& who) const;
  // Sessions are there for those who began them only.
  std::shared_ptr<Connected> find(const std::string& id, const Identity& who);
  std::pair<std::string, std::shared_ptr<Connected>> add(const Identity& who);

  const std::shared_ptr<Server> server_;
  const std::string path_;
  const std::unique_ptr<Authorization> authorization_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Connected>> connected_;
};

}  // namespace lm::mcp
