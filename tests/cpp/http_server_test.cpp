// The HTTP server through raw sockets: what well-behaved, careless and hostile clients send.
#include "engine/serve/http/http_server.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "engine/core/error.h"

namespace {

using namespace lm;
using namespace std::chrono_literals;

// A client that sends bytes as they are.
class Client {
 public:
  explicit Client(int port, int receive_buffer = 0) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0)
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  void shut_down_sending() const { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  // Reads until the other side closes, `until` was seen, or 5 s are over.
  std::string read(std::string_view until = {}) {
    std::string all;
    char bytes[65536];
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (std::chrono::steady_clock::now() < end) {
      if (!until.empty() && all.find(until) != std::string::npos) return all;
      pollfd p{fd_, POLLIN, 0};
      if (::poll(&p, 1, 100) <= 0) continue;
      const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
      if (n <= 0) {
        closed_ = true;
        return all;
      }
      all.append(bytes, static_cast<size_t>(n));
    }
    return all;
  }
  bool closed() const { return closed_; }

 private:
  int fd_;
  bool closed_ = false;
};

// Lets handlers wait for the test.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  bool pass() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 10s, [&] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return condition();
}

size_t count(const std::string& text, std::string_view what) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++n;
  return n;
}

struct Fixture {
  HttpServerOptions options;
  HttpHandlers handlers;
  std::unique_ptr<HttpServer> server;
  Gate gate;

  Fixture() {
    handlers.handle = [this](const std::shared_ptr<HttpExchange>& e) { handle(*e); };
    handlers.is_quick = [](const HttpServerRequest& r) { return r.path == "/quick"; };
    handlers.refuse = [](const HttpServerRequest&, int status, const std::string& message) {
      return HttpAnswer{status, {{"content-type", "text/plain"}}, "refused: " + message};
    };
  }
  void handle(HttpExchange& e) {
    const HttpServerRequest& r = e.request();
    if (r.path == "/throw") raise(ErrorCode::internal, "broken on purpose");
    if (r.path == "/silent") return;
    if (r.path == "/wait") gate.pass();
    if (r.path == "/stream" || r.path == "/half") {
      e.begin(200, {{"content-type", "text/plain"}});
      for (int i = 0; i < 3; ++i) e.write("piece " + std::to_string(i) + "\n");
      if (r.path == "/stream") e.end();
      return;
    }
    if (r.path == "/endless") {
      e.begin(200, {});
      const std::string block(10000, 'x');
      while (e.write(block)) {
      }
      gate.open();
      return;
    }
    if (r.path == "/until_cancelled") {
      while (!e.cancelled()) std::this_thread::sleep_for(1ms);
      gate.open();
    }
    e.answer({200,
              {{"content-type", "text/plain"}},
              r.method + " " + r.path + " " + std::to_string(r.body.size())});
  }
  int start() {
    server = http::make_http_server(options, handlers);
    return server->port();
  }
  std::string ask(const std::string& bytes) {
    if (!server) start();
    Client client(server->port());
    client.send(bytes);
    return client.read();
  }
};

std::string get(const std::string& path, const std::string& more = "connection: close\r\n") {
  return "GET " + path + " HTTP/1.1\r\nhost: localhost\r\n" + more + "\r\n";
}

TEST_CASE_FIXTURE(Fixture, "http: requests are answered, the connection stays") {
  start();
  Client client(server->port());
  client.send(get("/a%20b?x=1", ""));
  CHECK(client.read("/a b 0").starts_with("HTTP/1.1 200 OK\r\n"));
  client.send("POST /p HTTP/1.1\r\nhost: 127.0.0.1:80\r\ncontent-length: 3\r\n\r\nabc");
  CHECK(client.read("POST /p 3").find("content-length: 9\r\n") != std::string::npos);
  client.send("HEAD /h HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
  const std::string head = client.read();
  CHECK(head.find("content-length: 9\r\n") != std::string::npos);
  CHECK(head.ends_with("\r\n\r\n"));
  CHECK(client.closed());
  CHECK(server->stats().accepted == 1);
  CHECK(server->stats().requests == 3);
}

TEST_CASE_FIXTURE(Fixture, "http: chunked bodies, byte by byte") {
  start();
  Client client(server->port());
  for (const char c :
       std::string("POST /c HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n"
                   "connection: close\r\n\r\n4\r\nabcd\r\n3;x=y\r\nefg\r\n0\r\n\r\n"))
    client.send(std::string_view(&c, 1));
  CHECK(client.read().ends_with("POST /c 7"));
}

TEST_CASE_FIXTURE(Fixture, "http: pipelined requests are answered in order") {
  start();
  Client client(server->port());
  client.send(get("/1", "") + get("/2", "") + get("/stream", "") + get("/4"));
  const std::string all = client.read();
  CHECK(count(all, "HTTP/1.1 200 OK") == 4);
  CHECK(all.find("GET /1 0") < all.find("GET /2 0"));
  CHECK(all.find("GET /2 0") < all.find("piece 2"));
  CHECK(all.find("piece 2") < all.find("GET /4 0"));
}

TEST_CASE_FIXTURE(Fixture, "http: a client that only says it sends no more gets its answers") {
  start();
  Client client(server->port());
  client.send(get("/1", "") + get("/2", ""));
  client.shut_down_sending();
  CHECK(count(client.read(), "HTTP/1.1 200 OK") == 2);
  CHECK(client.closed());
}

TEST_CASE_FIXTURE(Fixture, "http: streams in chunks, to HTTP/1.0 without") {
  const std::string chunks = ask(get("/stream"));
  CHECK(chunks.find("transfer-encoding: chunked\r\n") != std::string::npos);
  CHECK(chunks.ends_with("8\r\npiece 2\n\r\n0\r\n\r\n"));
  const std::string old = ask("GET /stream HTTP/1.0\r\n\r\n");
  CHECK(old.find("transfer-encoding") == std::string::npos);
  CHECK(old.ends_with("\r\n\r\npiece 0\npiece 1\npiece 2\n"));
  // Half a stream must not look whole.
  CHECK(!ask(get("/half")).ends_with("0\r\n\r\n"));
}

TEST_CASE_FIXTURE(Fixture, "http: handlers that fail or say nothing answer 500") {
  CHECK(ask(get("/throw")).ends_with("refused: broken on purpose"));
  CHECK(ask(get("/silent")).starts_with("HTTP/1.1 500 "));
  CHECK(ask(get("/fine")).starts_with("HTTP/1.1 200 "));
}

TEST_CASE_FIXTURE(Fixture, "http: malformed and oversized requests") {
  options.max_header_bytes = 4096;
  options.max_body_bytes = 1000;
  struct Row {
    const char* what;
    std::string bytes;
    int status;
  };
  const std::string post = "POST / HTTP/1.1\r\nhost: localhost\r\n";
  const Row rows[] = {
      {"no HTTP", "\x16\x03\x01\x02garbage\r\n\r\n", 400},
      {"no version", "GET /\r\n\r\n", 400},
      {"HTTP/9.9", "GET / HTTP/9.9\r\nhost: localhost\r\n\r\n", 400},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two hosts", "GET / HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n", 400},
      {"broken host", "GET / HTTP/1.1\r\nhost: a b\r\n\r\n", 400},
      {"foreign host", "GET / HTTP/1.1\r\nhost: evil.example:8080\r\n\r\n", 421},
      {"foreign page", get("/", "origin: https://evil.example\r\n"), 403},
      {"no path", "GET http://localhost/ HTTP/1.1\r\nhost: localhost\r\n\r\n", 400},
      {"broken escape", get("/%zz"), 400},
      {"zero byte in path", get("/a%00b"), 400},
      {"invalid UTF-8 in path", get("/%ff"), 400},
      {"space before colon", "GET / HTTP/1.1\r\nhost : localhost\r\n\r\n", 400},
      {"header without colon", get("/", "nonsense\r\n"), 400},
      {"zero byte in header", get("/", std::string("x: a\0b\r\n", 8)), 400},
      {"negative length", post + "content-length: -1\r\n\r\n", 400},
      {"two lengths", post + "content-length: 1\r\ncontent-length: 2\r\n\r\nab", 400},
      {"length and chunks",
       post + "content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"overflowing length", post + "content-length: 99999999999999999999999\r\n\r\n", 400},
      {"long body", post + "content-length: 1001\r\n\r\n", 413},
      {"long chunks", post + "transfer-encoding: chunked\r\n\r\n3e9\r\n" + std::string(1001, 'x'),
       413},
      {"huge chunk", post + "transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 400},
      {"broken chunk", post + "transfer-encoding: chunked\r\n\r\nxyz\r\n", 400},
      {"unknown coding", post + "transfer-encoding: gzip\r\n\r\n", 501},
      {"long line", "GET /" + std::string(5000, 'a') + " HTTP/1.1\r\n", 431},
      {"long header", get("/", "x: " + std::string(5000, 'a') + "\r\n"), 431},
      {"many headers",
       get("/",
           [] {
             std::string all;
             for (int i = 0; i < 1000; ++i) all += "x" + std::to_string(i) + ": y\r\n";
             return all;
           }()),
       431},
  };
  start();
  for (const Row& row : rows) {
    CAPTURE(row.what);
    Client client(server->port());
    client.send(row.bytes);
    const std::string answer = client.read();
    CHECK(answer.starts_with("HTTP/1.1 " + std::to_string(row.status)));
    CHECK(client.closed());
  }
  CHECK(ask(get("/fine")).starts_with("HTTP/1.1 200 "));
}

TEST_CASE_FIXTURE(Fixture, "http: ten megabytes of header are not taken in") {
  start();
  Client client(server->port());
  const std::string block(1 << 20, 'a');
  client.send("GET / HTTP/1.1\r\nx: ");
  for (int i = 0; i < 10 && client.send(block); ++i) {
  }
  // The server has closed; its answer may be lost to the reset.
  const std::string answer = client.read();
  CHECK((answer.empty() || answer.starts_with("HTTP/1.1 431 ")));
  CHECK(client.closed());
}

TEST_CASE_FIXTURE(Fixture, "http: hosts and pages that are named may ask") {
  options.allowed_hosts = {"models.example"};
  options.allowed_origins = {"https://pages.example"};
  CHECK(ask("GET / HTTP/1.1\r\nhost: Models.Example:8080\r\nconnection: close\r\n\r\n")
            .starts_with("HTTP/1.1 200 "));
  CHECK(ask(get("/", "origin: https://pages.example\r\nconnection: close\r\n"))
            .starts_with("HTTP/1.1 200 "));
  CHECK(ask(get("/", "origin: http://localhost\r\nconnection: close\r\n"))
            .starts_with("HTTP/1.1 200 "));
  CHECK(ask(get("/", "origin: null\r\n")).starts_with("HTTP/1.1 403 "));
  CHECK(ask("GET / HTTP/1.1\r\nhost: [::1]:80\r\nconnection: close\r\n\r\n")
            .starts_with("HTTP/1.1 200 "));
}

TEST_CASE_FIXTURE(Fixture, "http: slow headers, slow bodies and idle connections end") {
  options.header_timeout_s = 0.2;
  options.request_timeout_s = 0.4;
  options.idle_timeout_s = 0.2;
  start();
  Client silent(server->port()), header(server->port()), body(server->port()), idle(server->port());
  header.send("GET / HTTP/1.1\r\nhost:");
  body.send("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n");
  idle.send(get("/", ""));
  CHECK(idle.read("GET / 0").starts_with("HTTP/1.1 200 "));
  std::thread drip([&] {  // each byte in time, the whole too late
    for (int i = 0; i < 30 && body.send("x"); ++i) std::this_thread::sleep_for(50ms);
  });
  CHECK(header.read().starts_with("HTTP/1.1 408 "));
  CHECK(body.read().starts_with("HTTP/1.1 408 "));
  CHECK(silent.read().empty());
  CHECK(idle.read().empty());
  for (const Client* c : {&silent, &header, &body, &idle}) CHECK(c->closed());
  drip.join();
}

TEST_CASE_FIXTURE(Fixture, "http: expectations are answered before the body comes") {
  start();
  Client client(server->port());
  client.send(
      "POST /e HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\nexpect: 100-continue\r\n"
      "connection: close\r\n\r\n");
  CHECK(client.read("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("ab");
  CHECK(client.read().ends_with("POST /e 2"));
}

TEST_CASE_FIXTURE(Fixture, "http: a client that leaves cancels what it asked for") {
  start();
  {
    Client client(server->port());
    client.send(get("/until_cancelled"));
    CHECK(eventually([&] { return server->stats().running == 1; }));
  }
  CHECK(gate.pass());
  CHECK(eventually([&] { return server->stats().connections == 0; }));
  CHECK(server->stats().cancelled == 1);
}

TEST_CASE_FIXTURE(Fixture, "http: a slow reader stalls its own stream only, then ends it") {
  options.write_timeout_s = 0.5;
  options.max_unsent_bytes = 64 << 10;
  start();
  Client slow(server->port(), 4096);
  slow.send(get("/endless"));
  CHECK(eventually([&] { return server->stats().running == 1; }));
  CHECK(ask(get("/fine")).starts_with("HTTP/1.1 200 "));
  CHECK(gate.pass());
}

TEST_CASE_FIXTURE(Fixture, "http: more than can be answered is told so; quick requests pass") {
  options.workers = 1;
  options.queue = 1;
  start();
  Client first(server->port()), second(server->port());
  first.send(get("/wait"));
  CHECK(eventually([&] { return server->stats().running == 1 && server->stats().waiting == 0; }));
  second.send(get("/second"));
  CHECK(eventually([&] { return server->stats().waiting == 1; }));
  const std::string third = ask(get("/third"));
  CHECK(third.starts_with("HTTP/1.1 429 "));
  CHECK(third.find("\r\nretry-after: 1\r\n") != std::string::npos);
  CHECK(ask(get("/quick")).ends_with("GET /quick 0"));
  gate.open();
  CHECK(first.read().ends_with("GET /wait 0"));
  CHECK(second.read().ends_with("GET /second 0"));
}

TEST_CASE_FIXTURE(Fixture, "http: more connections than allowed are closed") {
  options.max_connections = 2;
  start();
  Client a(server->port()), b(server->port());
  CHECK(eventually([&] { return server->stats().connections == 2; }));
  Client c(server->port());
  CHECK(c.read().starts_with("HTTP/1.1 503 "));
  a.close();
  CHECK(eventually([&] { return server->stats().connections == 1; }));
  CHECK(ask(get("/fine")).starts_with("HTTP/1.1 200 "));
}

TEST_CASE_FIXTURE(Fixture, "http: stop lets requests end, then cancels them") {
  start();
  Client idle(server->port()), running(server->port());
  running.send(get("/wait", ""));
  CHECK(eventually([&] { return server->stats().running == 1; }));
  std::thread stopping([&] { server->stop(5); });
  CHECK(idle.read().empty());
  CHECK(server->draining());
  gate.open();
  const std::string answer = running.read();
  CHECK(answer.ends_with("GET /wait 0"));
  CHECK(answer.find("connection: close") != std::string::npos);
  stopping.join();

  Gate cancelled;
  handlers.handle = [&](const std::shared_ptr<HttpExchange>& e) {
    e->on_cancel([&] { cancelled.open(); });
    cancelled.pass();
  };
  start();
  Client late(server->port());
  late.send(get("/"));
  CHECK(eventually([&] { return server->stats().running == 1; }));
  server->stop(0.1);
  CHECK(late.read().empty());
}

TEST_CASE("http: options that cannot be") {
  HttpServerOptions o;
  o.host = "no.such.host.invalid";
  CHECK_THROWS_AS(http::make_http_server(o, {}), Error);
  o = {};
  o.cert = "nowhere.pem";
  CHECK_THROWS_AS(http::make_http_server(o, {}), Error);
  o.key = "nowhere.pem";
  CHECK_THROWS_AS(http::make_http_server(o, {}), Error);
  o = {};
  o.port = 70000;
  CHECK_THROWS_AS(http::make_http_server(o, {}), Error);
  HttpServerOptions taken;
  const auto server = http::make_http_server(taken, {});
  taken.port = server->port();
  CHECK_THROWS_AS(http::make_http_server(taken, {}), Error);
}

}  // namespace
