#include "engine/serve/http/connection.h"

#include <algorithm>

#include "engine/core/error.h"
#include "engine/serve/http/exchange.h"
#include "engine/serve/http/url.h"

namespace lm::http {
namespace {

constexpr size_t kReadBytes = 16 << 10;
constexpr double kLingerSeconds = 2;
constexpr size_t kMostLingering = 1 << 20;  // bytes read and dropped after an answer that ends all

bool listed(const std::vector<std::string>& list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end() ||
         std::find(list.begin(), list.end(), "*") != list.end();
}

}  // namespace

Connection::Connection(std::shared_ptr<ServerCore> core, std::unique_ptr<Transport> transport)
    : core_(std::move(core)),
      transport_(std::move(transport)),
      buffer_(std::make_unique<char[]>(kReadBytes)) {
  boost::system::error_code error;
  const auto end = transport_->socket().remote_endpoint(error);
  if (!error) peer_ = end.address().to_string();
  transport_->socket().set_option(boost::asio::ip::tcp::no_delay(true), error);
  ++core_->n_connections;
}

Connection::~Connection() {
  --core_->n_connections;
}

void Connection::set_time(double seconds) {
  deadline_ = Clock::now() +
              std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

void Connection::start() {
  set_time(core_->options.header_timeout_s);
  parser_ = std::make_unique<RequestParser>(
      RequestLimits{core_->options.max_header_bytes, core_->options.max_body_bytes});
  waits_for_header_ = true;
  transport_->handshake([self = shared_from_this()](auto error, size_t) {
    if (error) return self->close();
    self->read();
  });
}

// There is always a read under way, so that a connection that ends is noticed; but a client that
// sends further requests before it got its answer is read up to a limit only.
void Connection::read() {
  if (reading_ || closed_ || half_closed_) return;
  if (exchange_ && in_.size() >= core_->options.max_header_bytes) return;
  reading_ = true;
  transport_->read_some(buffer_.get(), kReadBytes,
                        [self = shared_from_this()](auto error, size_t n) {
                          self->reading_ = false;
                          self->received(error, n);
                        });
}

void Connection::received(boost::system::error_code error, size_t n) {
  if (closed_) return;
  if (lingering_) {
    dropped_ += n;
    if (error || dropped_ > kMostLingering) return close();
    return read();
  }
  if (error) {
    // Half closed: a client that only says that it sends no more looks like one that has gone. What
    // was asked is cancelled; what is answered all the same is sent.
    half_closed_ = true;
    if (exchange_) return exchange_->cancel();
    process();
    if (!exchange_) close();
    return;
  }
  in_.append(buffer_.get(), n);
  process();
  read();
}

void Connection::process() {
  if (closed_ || lingering_ || exchange_) return;
  const bool began = parser_->started();
  in_.erase(0, parser_->feed(in_));
  if (parser_->failed()) return refuse(parser_->status(), parser_->reason());
  if (!began && parser_->started() && !waits_for_header_) {
    set_time(core_->options.header_timeout_s);
    waits_for_header_ = true;
  }
  if (parser_->header_done() && waits_for_header_) {
    waits_for_header_ = false;
    set_time(core_->options.request_timeout_s);
    if (const auto no = refusal()) return refuse(no->first, no->second);
  }
  if (parser_->take_expectation() && !parser_->done()) {
    out_ += "HTTP/1.1 100 Continue\r\n\r\n";
    if (!writing_) write_rest();
  }
  if (parser_->done()) return dispatch();
  if (half_closed_) close();
}

// Why a request whose headers are known is not answered.
std::optional<std::pair<int, std::string>> Connection::refusal() const {
  const HttpServerRequest& request = parser_->request();
  const HttpServerOptions& options = core_->options;
  const std::string_view authority = request.header("host");
  const auto n_hosts = std::count_if(request.headers.begin(), request.headers.end(),
                                     [](const auto& h) { return h.first == "host"; });
  if (n_hosts > 1 || (n_hosts == 0 && parser_->is_http_1_1()))
    return std::pair(400, std::string("expected one Host header"));
  if (n_hosts == 1) {
    const auto host = host_of(authority);
    if (!host) return std::pair(400, std::string("malformed Host header"));
    if (!is_address(*host) && *host != "localhost" && *host != options.host &&
        !listed(options.allowed_hosts, *host))
      return std::pair(421, fmt::format("this server does not answer for \"{}\"; allowed_hosts "
                                        "names the hosts that it answers for",
                                        *host));
  }
  const std::string origin(request.header("origin"));
  if (!origin.empty() && !same_origin(origin, authority, transport_->is_tls()) &&
      !listed(options.allowed_origins, origin))
    return std::pair(403, fmt::format("pages of \"{}\" may not ask this server; allowed_origins "
                                      "names those that may",
                                      origin));
  if (core_->draining) return std::pair(503, std::string("the server is ending"));
  return std::nullopt;
}

void Connection::open_exchange(bool keep_alive) {
  parser_->request().peer = peer_;
  exchange_ =
      std::make_shared<Exchange>(shared_from_this(), std::move(parser_->request()), keep_alive,
                                 parser_->header_done() && parser_->is_http_1_1());
  set_time(core_->options.write_timeout_s);
}

void Connection::dispatch() {
  ++core_->n_requests;
  open_exchange(parser_->keep_alive());
  auto handle = handle_for(exchange_);
  if (half_closed_) exchange_->cancel();
  const auto call = [core = core_.get()](const std::shared_ptr<HttpExchange>& e) {
    try {
      core->handlers.handle(e);
    } catch (const std::exception& error) {
      if (e->status() != 0) return;
      e->answer(core->handlers.refuse
                    ? core->handlers.refuse(e->request(), 500, error.what())
                    : HttpAnswer{500, {{"content-type", "text/plain"}}, error.what()});
    }
  };
  if (core_->handlers.is_quick && core_->handlers.is_quick(exchange_->request()))
    return call(handle);
  const auto keep = exchange_;
  if (core_->pool.submit([call, handle]() mutable { call(std::exchange(handle, nullptr)); }))
    return;
  ++core_->n_refused;
  const std::string message = "the server has more requests than it can answer; try again later";
  HttpAnswer answer = core_->handlers.refuse
                          ? core_->handlers.refuse(keep->request(), 429, message)
                          : HttpAnswer{429, {{"content-type", "text/plain"}}, message};
  answer.headers.emplace_back("retry-after", "1");
  handle->answer(std::move(answer));
}

// Answers what cannot be answered well, and ends the connection: where the next request begins is
// not known.
void Connection::refuse(int status, const std::string& message) {
  ++core_->n_refused;
  open_exchange(false);
  HttpAnswer answer = core_->handlers.refuse
                          ? core_->handlers.refuse(exchange_->request(), status, message)
                          : HttpAnswer{status, {{"content-type", "text/plain"}}, message};
  exchange_->answer(std::move(answer));
}

void Connection::flush() {
  if (!closed_ && !writing_) write_rest();
}

void Connection::write_rest() {
  if (out_at_ >= out_.size()) {
    out_at_ = 0;
    bool finished = false;
    if (!exchange_) {
      out_.clear();
      return;
    }
    if (!exchange_->outbox().take(&out_, &finished)) {
      if (finished) answered();
      return;
    }
    set_time(core_->options.write_timeout_s);
  }
  writing_ = true;
  transport_->write_some(std::string_view(out_).substr(out_at_),
                         [self = shared_from_this()](auto error, size_t n) {
                           self->writing_ = false;
                           if (self->closed_) return;
                           if (error) return self->close();
                           self->out_at_ += n;
                           self->set_time(self->core_->options.write_timeout_s);
                           if (self->exchange_) self->exchange_->outbox().sent(n);
                           self->write_rest();
                         });
}

void Connection::answered() {
  const bool keep = exchange_->keep_alive() && !core_->draining;
  exchange_.reset();
  if (!keep) return linger();
  parser_ = std::make_unique<RequestParser>(
      RequestLimits{core_->options.max_header_bytes, core_->options.max_body_bytes});
  set_time(core_->options.idle_timeout_s);
  waits_for_header_ = false;
  process();
  if (!closed_ && !exchange_ && half_closed_) return close();
  read();
}

// Closing at once, with bytes of the client unread, would reset the connection and take the answer
// away from it.
void Connection::linger() {
  lingering_ = true;
  in_.clear();
  set_time(kLingerSeconds);
  transport_->finish_sending([self = shared_from_this()](auto, size_t) {
    if (self->closed_) return;
    if (self->half_closed_ || self->transport_->is_tls()) return self->close();
    self->read();
  });
}

void Connection::check_time(Clock::time_point now) {
  if (closed_ || now < deadline_) return;
  if (exchange_) {
    // A handler may think for as long as it likes; a reader may not.
    if (writing_) close();
    return;
  }
  if (lingering_ || !parser_->started() || half_closed_) return close();
  refuse(408, "the request took too long to arrive");
}

void Connection::drain() {
  if (!exchange_ && !lingering_ && !parser_->started()) close();
}

void Connection::close() {
  if (std::exchange(closed_, true)) return;
  if (exchange_) {
    exchange_->cancel();
    exchange_->outbox().close();
    exchange_.reset();
  }
  boost::system::error_code error;
  transport_->socket().close(error);
}

}  // namespace lm::http
