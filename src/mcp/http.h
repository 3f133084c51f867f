// The Streamable HTTP transport, and the older one with two addresses: what a server answers to
// POST, GET and DELETE. Origin and Host are checked by the HTTP server before.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "engine/api/http_server.h"
#include "mcp/server.h"

namespace lm::mcp {

class HttpEndpoint {
 public:
  // path: where messages go ("/mcp"); "/sse" and "/messages" are the older transport's.
  HttpEndpoint(std::shared_ptr<Server> server, std::string path)
      : server_(std::move(server)), path_(std::move(path)) {}

  void handle(const std::shared_ptr<HttpExchange>& exchange);

 private:
  struct Connected;  // a session of the revisions that have them

  void post(const std::shared_ptr<HttpExchange>& exchange);
  void post_modern(const std::shared_ptr<HttpExchange>& exchange, const Json& message);
  void post_legacy(const std::shared_ptr<HttpExchange>& exchange, const Json& message);
  void get(const std::shared_ptr<HttpExchange>& exchange);
  void remove(const std::shared_ptr<HttpExchange>& exchange);
  void open_old(const std::shared_ptr<HttpExchange>& exchange);
  void post_old(const std::shared_ptr<HttpExchange>& exchange);
  std::shared_ptr<Connected> find(const std::string& id);
  std::pair<std::string, std::shared_ptr<Connected>> add();

  const std::shared_ptr<Server> server_;
  const std::string path_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Connected>> connected_;
};

}  // namespace lm::mcp
