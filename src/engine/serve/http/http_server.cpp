#include "engine/serve/http/http_server.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <unordered_set>

#include "engine/core/error.h"
#include "engine/serve/http/connection.h"

namespace lm::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto kTick = std::chrono::milliseconds(100);

void check_options(const HttpServerOptions& o) {
  LM_CHECK(o.port >= 0 && o.port <= 65535, ErrorCode::bad_option, "port is {}; expected 0..65535",
           o.port);
  LM_CHECK(o.cert.empty() == o.key.empty(), ErrorCode::bad_option,
           "TLS needs both cert and key, or neither");
  LM_CHECK(o.workers >= 1 && o.workers <= 4096, ErrorCode::bad_option,
           "workers is {}; expected 1..4096", o.workers);
  LM_CHECK(o.max_header_bytes >= 1024, ErrorCode::bad_option,
           "max_header_bytes is {}; expected 1024 or more", o.max_header_bytes);
}

class Server : public HttpServer {
 public:
  Server(const HttpServerOptions& options, HttpHandlers handlers)
      : core_(std::make_shared<ServerCore>(options, std::move(handlers))),
        acceptor_(core_->io),
        timer_(core_->io) {
    check_options(options);
    if (!options.cert.empty()) tls_ = tls_context(options.cert, options.key);
    listen();
    accept();
    tick();
    thread_ = start_thread([this] { core_->io.run(); });
  }
  ~Server() override { stop(0); }

  int port() const override { return port_; }
  bool draining() const override { return core_->draining; }

  HttpServerStats stats() const override {
    return {core_->n_connections, core_->pool.running(), core_->pool.waiting(), core_->n_accepted,
            core_->n_requests,    core_->n_refused,      core_->n_cancelled};
  }

  void stop(double drain_s) override {
    const std::lock_guard lock(stop_mutex_);
    if (!thread_.joinable()) return;
    core_->draining = true;
    on_thread([this] {
      boost::system::error_code error;
      acceptor_.close(error);
      for (const auto& c : copies()) c->drain();
    });
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(drain_s);
    while (core_->n_connections > 0 && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    on_thread([this] {
      timer_.cancel();
      for (const auto& c : copies()) c->close();
    });
    core_->pool.stop();
    core_->io.stop();
    thread_.join();
    connections_.clear();
  }

 private:
  void listen() {
    const auto& o = core_->options;
    boost::system::error_code error;
    tcp::resolver resolver(core_->io);
    const auto found =
        resolver.resolve(o.host, std::to_string(o.port), tcp::resolver::passive, error);
    LM_CHECK(!error && !found.empty(), ErrorCode::network, "host \"{}\" stands for no address: {}",
             o.host, error.message());
    const tcp::endpoint where = found.begin()->endpoint();
    const auto check = [&] {
      LM_CHECK(!error, ErrorCode::network, "{}:{} cannot be listened at: {}", o.host, o.port,
               error.message());
    };
    acceptor_.open(where.protocol(), error), check();
    acceptor_.set_option(tcp::acceptor::reuse_address(true), error), check();
    acceptor_.bind(where, error), check();
    acceptor_.listen(512, error), check();
    port_ = acceptor_.local_endpoint().port();
  }

  void accept() {
    acceptor_.async_accept([this](boost::system::error_code error, tcp::socket socket) {
      if (!acceptor_.is_open()) return;
      if (error == asio::error::no_descriptors || error == asio::error::no_buffer_space ||
          error == asio::error::no_memory) {
        paused_ = true;  // tick() goes on
        return;
      }
      if (!error) take(std::move(socket));
      accept();
    });
  }

  void take(tcp::socket socket) {
    ++core_->n_accepted;
    if (connections_.size() >= core_->options.max_connections) {
      static constexpr std::string_view kFull =
          "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n"
          "connection: close\r\n\r\n";
      boost::system::error_code ignored;
      socket.non_blocking(true, ignored);
      socket.send(asio::buffer(kFull.data(), kFull.size()), 0, ignored);
      return;
    }
    auto transport =
        tls_ ? tls_transport(std::move(socket), *tls_) : plain_transport(std::move(socket));
    const auto connection = std::make_shared<Connection>(core_, std::move(transport));
    connections_.insert(connection);
    connection->start();
  }

  void tick() {
    timer_.expires_after(kTick);
    timer_.async_wait([this](boost::system::error_code error) {
      if (error) return;
      const auto now = std::chrono::steady_clock::now();
      for (const auto& c : copies()) c->check_time(now);
      std::erase_if(connections_, [](const auto& c) { return c->closed(); });
      if (std::exchange(paused_, false) && acceptor_.is_open()) accept();
      tick();
    });
  }

  std::vector<std::shared_ptr<Connection>> copies() const {
    return {connections_.begin(), connections_.end()};
  }

  void on_thread(const std::function<void()>& work) {
    std::promise<void> done;
    asio::post(core_->io, [&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
    std::this_thread::yield();
  }

  const std::shared_ptr<ServerCore> core_;
  std::unique_ptr<asio::ssl::context> tls_;
  tcp::acceptor acceptor_;
  asio::steady_timer timer_;
  std::unordered_set<std::shared_ptr<Connection>> connections_;  // on the server's thread
  int port_ = 0;
  bool paused_ = false;
  std::mutex stop_mutex_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<HttpServer> make_http_server(const HttpServerOptions& options,
                                             HttpHandlers handlers) {
  return std::make_unique<Server>(options, std::move(handlers));
}

}  // namespace lm::http
