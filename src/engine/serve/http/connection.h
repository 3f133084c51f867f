// One connection of a client: reads requests one after the other, has them answered, writes the
// answers. Everything runs on the server's thread but the members of Exchange, which workers call.
// Internal to engine/serve/http: brings Asio's headers.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "engine/api/http_server.h"
#include "engine/serve/http/request_parser.h"
#include "engine/serve/http/transport.h"
#include "engine/serve/http/worker_pool.h"

namespace lm::http {

class Connection;
class Exchange;

// What the connections of a server share.
struct ServerCore {
  HttpServerOptions options;
  HttpHandlers handlers;
  boost::asio::io_context io;
  WorkerPool pool;
  std::atomic<bool> draining{false};
  std::atomic<int64_t> n_connections{0}, n_accepted{0}, n_requests{0}, n_refused{0}, n_cancelled{0};

  ServerCore(HttpServerOptions o, HttpHandlers h)
      : options(std::move(o)),
        handlers(std::move(h)),
        io(1),
        pool(options.workers, options.queue) {}
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;

  Connection(std::shared_ptr<ServerCore> core, std::unique_ptr<Transport> transport);
  ~Connection();

  void start();
  // Closes it if its time is over; called a few times each second.
  void check_time(Clock::time_point now);
  // The server ends: what waits is closed, what runs may finish.
  void drain();
  // Ends it now.
  void close();
  bool closed() const { return closed_; }

 private:
  friend class Exchange;
  void read();
  void received(boost::system::error_code error, size_t n);
  void process();
  void dispatch();
  std::optional<std::pair<int, std::string>> refusal() const;
  void refuse(int status, const std::string& message);
  void open_exchange(bool keep_alive);
  void flush();
  void write_rest();
  void answered();
  void linger();
  void set_time(double seconds);

  std::shared_ptr<ServerCore> core_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<RequestParser> parser_;
  std::string peer_, in_, out_;
  size_t out_at_ = 0;   // bytes of out_ that were sent
  size_t dropped_ = 0;  // bytes read after the last answer
  std::unique_ptr<char[]> buffer_;
  std::shared_ptr<Exchange> exchange_;  // the request that is being answered
  Clock::time_point deadline_;
  bool reading_ = false, writing_ = false, half_closed_ = false, closed_ = false,
       lingering_ = false, waits_for_header_ = false;
};

}  // namespace lm::http
