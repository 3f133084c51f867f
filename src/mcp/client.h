// A client's connection to a server: requests go out with ids, answers come back as futures. What
// the protocol says about methods is somebody else's (lua/stdlib/lm/mcp_client.lua).
#pragma once

#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "mcp/message.h"

namespace lm::mcp {

class Client {
 public:
  // Called on the transport's thread with notifications (id empty) and requests of the server, and
  // with the method "closed" when it is gone. params, id: JSON.
  using Handler = std::function<void(const std::string& method, const std::string& params,
                                     const std::string& id)>;
  virtual ~Client() = default;

  void set_handler(Handler handler);
  // The result, JSON; or throws RpcError.
  std::future<std::string> request(const std::string& method, const std::string& params,
                                   int64_t* id);
  void notify(const std::string& method, const std::string& params);
  // Gives a request up and tells the server.
  void cancel(int64_t id);
  void answer(const std::string& id, const std::string& result);
  void answer_error(const std::string& id, const RpcError& error);
  // Ends the connection, and a process that belongs to it; idempotent.
  virtual void close() = 0;

 protected:
  virtual void send(std::string message) = 0;
  void received(std::string_view text);
  // No answers will come any more.
  void ended(const std::string& why);

 private:
  std::mutex mutex_;
  Handler handler_;
  std::map<int64_t, std::promise<std::string>> waiting_;
  std::string over_;  // why nothing comes any more
  int64_t next_id_ = 1;
};

// Starts a server as a process and talks to it over its standard input and output; its standard
// error goes to ours. Throws io when it cannot be started. Closing: its input ends, then SIGTERM,
// then SIGKILL.
std::shared_ptr<Client> start_process_client(const std::vector<std::string>& command);

}  // namespace lm::mcp
