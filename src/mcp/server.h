// A server of the Model Context Protocol: the revision 2026-07-28, which knows no sessions, at
// heart, and 2025-11-25, 2025-06-18, 2025-03-26 and 2024-11-05 around it. Free of transports and of
// Lua: messages come in as text with somewhere to answer to, and what is offered comes as JSON.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "mcp/message.h"
#include "mcp/tasks.h"

namespace lm::mcp {

class Server;
class Session;

// Where answers and notifications of one request, or of a whole connection, go. send() is called
// from any thread.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void send(std::string message) = 0;
  // What a token said about who sent the request, JSON; "" where nobody asks for tokens.
  virtual std::string claims() const { return {}; }
};

// A sink of a request that came with a token.
class ClaimsSink : public Sink {
 public:
  ClaimsSink(std::shared_ptr<Sink> out, std::string claims)
      : out_(std::move(out)), claims_(std::move(claims)) {}
  void send(std::string message) override { out_->send(std::move(message)); }
  std::string claims() const override { return claims_; }

 private:
  const std::shared_ptr<Sink> out_;
  const std::string claims_;
};

// A request that something outside of the server answers: tools/call, resources/read, prompts/get,
// completion/complete. Answer it once, from any thread.
class Call {
 public:
  Call(std::shared_ptr<Session> session, std::shared_ptr<Sink> sink, std::string method,
       const Json& id, const Json& params, bool modern);
  ~Call();

  const std::string& method() const { return method_; }
  const std::string& params() const { return params_; }  // JSON
  bool modern() const { return modern_; }
  // What the client can do, JSON.
  std::string client_capabilities() const;
  std::string protocol_version() const;
  // Who asks, as the transport found out; "" where it does not ask for names.
  std::string principal() const;
  // What its token says, JSON; "" likewise.
  std::string claims() const { return claims_; }
  bool cancelled() const { return cancelled_; }

  // result: a JSON object; resultType and the server's name are added where the revision wants
  // them.
  void respond(const std::string& result);
  void fail(const RpcError& error);
  // Progress (0..total) to clients that asked for it.
  void progress(double progress, double total, const std::string& message);
  // A log message, where the client's level asks for it. level: "debug" ... "emergency"; data:
  // JSON.
  void log(const std::string& level, const std::string& logger, const std::string& data);
  // Asks the client: sampling/createMessage, elicitation/create, roots/list, for revisions with
  // sessions. The future holds the result, JSON, or throws RpcError.
  std::future<std::string> ask(const std::string& method, const std::string& params);

 private:
  friend class Session;
  std::shared_ptr<Session> session_;
  std::shared_ptr<Sink> sink_;
  std::string method_, params_;
  std::string id_;  // JSON
  std::string progress_token_, log_level_, capabilities_, version_, claims_;
  const bool modern_;
  std::atomic<bool> cancelled_{false}, answered_{false};
};

struct ServerOptions {
  std::string name = "lmfast", title, version, instructions;
  // Called with requests to answer, on the transport's thread; must not block.
  std::function<void(std::shared_ptr<Call>)> handler;
  size_t page_size = 100;  // entries of a list in one answer
  // Called after a client has answered or given up a task, on the transport's thread.
  std::function<void(const std::string& id)> on_task;
};

class Server : public std::enable_shared_from_this<Server> {
 public:
  explicit Server(ServerOptions options) : options_(std::move(options)) {}

  // kind: "tools", "resources", "resourceTemplates", "prompts". entries: a JSON list as the newest
  // revision has them. Clients are told when it is another one than before.
  void set_list(const std::string& kind, const std::string& entries);
  void resource_updated(const std::string& uri);
  // Tells those who listen to a task.
  void task_changed(const std::string& id);
  Tasks& tasks() { return tasks_; }

  // A connection, or a session of HTTP; `sink` is where messages go that answer no request.
  // principal: who the client is, where the transport knows.
  std::shared_ptr<Session> connect(std::shared_ptr<Sink> sink, std::string principal = {});

  // What tokens must allow for a call of a tool: a JSON object of lists, by tool.
  void set_scopes(const std::string& scopes);
  std::vector<std::string> scopes_of(const std::string& tool) const;

  // The schema of a tool's arguments; null for an unknown tool.
  Json input_schema(const std::string& tool) const;
  const ServerOptions& options() const { return options_; }

 private:
  friend class Session;
  Json list(const std::string& kind) const;
  std::vector<std::shared_ptr<Session>> sessions();

  const ServerOptions options_;
  Tasks tasks_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> lists_;
  std::map<std::string, std::vector<std::string>> scopes_;
  std::vector<std::weak_ptr<Session>> sessions_;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(std::shared_ptr<Server> server, std::shared_ptr<Sink> sink, std::string principal);

  // One message, or a batch where the revision has batches. Answers go to `sink`.
  void receive(std::string_view text, std::shared_ptr<Sink> sink);
  // The client is gone: what it asked for is cancelled.
  void close();

  // Calls that are not answered yet.
  size_t pending() const;
  bool initialized() const;
  std::string version() const;  // negotiated; empty before

 private:
  friend class Server;
  friend class Call;
  struct Listener {
    std::string id;  // JSON
    std::shared_ptr<Sink> sink;
    bool tools = false, prompts = false, resources = false;
    std::vector<std::string> uris, task_ids;
  };

  void receive_one(const Json& message, const std::shared_ptr<Sink>& sink);
  void receive_batch(const Json& batch, const std::shared_ptr<Sink>& sink);
  void request(const Json& message, const std::shared_ptr<Sink>& sink);
  void notification(const Json& message);
  void response(const Json& message);
  Json legacy(const std::string& method, const Json& params);
  void modern(const std::string& method, const Json& message, const std::shared_ptr<Sink>& sink);
  Json initialize(const Json& params);
  Json discover() const;
  Json list_page(const std::string& method, const Json& params) const;
  void listen(const Json& message, const std::shared_ptr<Sink>& sink);
  Json task_request(const std::string& method, const Json& params, const Json& meta);
  void start_call(const Json& message, const std::shared_ptr<Sink>& sink, bool modern);
  void list_changed(const std::string& kind);
  void resource_updated(const std::string& uri);
  void task_changed(const std::string& id, const Json& state);
  void forget(const std::string& id, const Call* call);

  const std::shared_ptr<Server> server_;
  const std::shared_ptr<Sink> sink_;
  const std::string principal_;
  mutable std::mutex mutex_;
  bool initialized_ = false, closed_ = false;
  std::string version_, log_level_ = "";
  std::string client_capabilities_ = "{}";
  std::vector<std::string> subscribed_;
  std::map<std::string, std::weak_ptr<Call>> calls_;
  std::vector<Listener> listeners_;
  std::map<int64_t, std::promise<std::string>> asked_;
  int64_t next_id_ = 1;
};

// The revision that a request names in its _meta, or null: none, or one of those with sessions.
Json asked_version(const Json& params);
// What a server says of itself.
Json server_info(const ServerOptions& options);
// A result with what every one of the newest revision has: resultType and, in _meta, the server.
Json completed(Json result, const ServerOptions& options);
// The revisions that are served, newest first.
const std::vector<std::string>& protocol_versions();
// Methods of the tasks extension.
bool is_task_method(const std::string& method);
inline constexpr const char* kModernVersion = "2026-07-28";

}  // namespace lm::mcp
