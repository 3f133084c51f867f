#include "engine/serve/http/exchange.h"

#include <fmt/chrono.h>

#include <boost/asio/post.hpp>
#include <boost/beast/http/status.hpp>
#include <ctime>

#include "engine/core/error.h"

namespace lm::http {
namespace {

std::string date_line() {
  return fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(std::time(nullptr)));
}

std::string reason_of(int status) {
  if (status == 499) return "Client Closed Request";
  if (status == 529) return "Overloaded";
  const auto known = boost::beast::http::obsolete_reason(
      boost::beast::http::int_to_status(static_cast<unsigned>(status)));
  return {known.data(), known.size()};
}

bool has_body(int status) {
  return status >= 200 && status != 204 && status != 304;
}

// A line break in a value would begin another header.
std::string one_line(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 && c != '\t') c = ' ';
  return out;
}

}  // namespace

Exchange::Exchange(std::shared_ptr<Connection> connection, HttpServerRequest request,
                   bool keep_alive, bool chunks)
    : connection_(std::move(connection)),
      request_(std::move(request)),
      keep_alive_(keep_alive),
      chunks_(chunks),
      outbox_(connection_->core_->options.max_unsent_bytes) {}

std::string Exchange::head(int status, const HttpHeaders& headers,
                           const std::string& length) const {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\n", status, reason_of(status));
  for (const auto& [name, value] : headers)
    out += fmt::format("{}: {}\r\n", one_line(name), one_line(value));
  out += fmt::format("date: {}\r\n", date_line()) + length;
  return out + (keep_alive_ ? "connection: keep-alive\r\n\r\n" : "connection: close\r\n\r\n");
}

void Exchange::answer(HttpAnswer answer) {
  LM_CHECK(status_ == 0, ErrorCode::internal, "the request was answered already");
  status_ = answer.status;
  ended_ = true;
  if (connection_->core_->draining) keep_alive_ = false;
  const std::string length =
      has_body(answer.status) ? fmt::format("content-length: {}\r\n", answer.body.size()) : "";
  const bool body = has_body(answer.status) && request_.method != "HEAD";
  const bool first = outbox_.add(head(answer.status, answer.headers, length),
                                 body ? std::string_view(answer.body) : std::string_view());
  if (outbox_.finish() || first) tell();
}

// Without chunks (HTTP/1.0) the end of the connection is the end of the stream.
void Exchange::begin(int status, HttpHeaders headers) {
  LM_CHECK(status_ == 0, ErrorCode::internal, "the request was answered already");
  status_ = status;
  if (!chunks_ || connection_->core_->draining) keep_alive_ = false;
  if (outbox_.add(head(status, headers, chunks_ ? "transfer-encoding: chunked\r\n" : ""))) tell();
}

bool Exchange::write(std::string_view bytes) {
  if (cancelled_ || !outbox_.wait_for_room()) return false;
  if (bytes.empty() || request_.method == "HEAD") return true;
  const bool sleeping = chunks_ ? outbox_.add(fmt::format("{:x}\r\n", bytes.size()), bytes, "\r\n")
                                : outbox_.add(bytes);
  if (sleeping) tell();
  return true;
}

void Exchange::end() {
  if (ended_.exchange(true)) return;
  const bool first = chunks_ && request_.method != "HEAD" && outbox_.add("0\r\n\r\n");
  if (outbox_.finish() || first) tell();
}

void Exchange::abandoned() {
  if (status_ == 0) {
    HttpAnswer none{500, {}, ""};
    answer(connection_->core_->handlers.refuse
               ? connection_->core_->handlers.refuse(request_, 500, "no answer was made")
               : none);
  } else if (!ended_) {  // half a stream: its reader must not take it for a whole one
    ended_ = true;
    boost::asio::post(connection_->core_->io, [connection = connection_] { connection->close(); });
  }
}

void Exchange::on_cancel(std::function<void()> call) {
  {
    const std::lock_guard lock(mutex_);
    if (!cancelled_) {
      on_cancel_ = std::move(call);
      return;
    }
  }
  call();
}

void Exchange::cancel() {
  std::function<void()> call;
  {
    const std::lock_guard lock(mutex_);
    if (cancelled_.exchange(true)) return;
    call.swap(on_cancel_);
  }
  if (!ended_) ++connection_->core_->n_cancelled;
  if (call) call();
}

void Exchange::tell() {
  boost::asio::post(connection_->core_->io, [connection = connection_] { connection->flush(); });
}

std::shared_ptr<HttpExchange> handle_for(std::shared_ptr<Exchange> exchange) {
  HttpExchange* raw = exchange.get();
  return {raw, [exchange = std::move(exchange)](HttpExchange*) mutable {
            exchange->abandoned();
            exchange.reset();
          }};
}

}  // namespace lm::http
