#include "engine/serve/http/request_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <limits>

#include "engine/serve/http/url.h"

namespace lm {

std::string_view HttpServerRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

std::string HttpServerRequest::query_value(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    if (http::percent_decode(pair.substr(0, equals), true) != name) continue;
    return http::percent_decode(pair.substr(std::min(equals + 1, pair.size())), true).value_or("");
  }
  return {};
}

namespace http {

namespace beast = boost::beast;
using Parser = beast::http::request_parser<beast::http::string_body>;

struct RequestParser::Impl {
  Parser parser;
  RequestLimits limits;
  bool started = false, header_read = false;
};

RequestParser::RequestParser(RequestLimits limits) : impl_(std::make_unique<Impl>()) {
  impl_->limits = limits;
  impl_->parser.eager(true);
  impl_->parser.header_limit(static_cast<uint32_t>(
      std::min<size_t>(limits.header_bytes, std::numeric_limits<uint32_t>::max())));
  impl_->parser.body_limit(limits.body_bytes);
}
RequestParser::~RequestParser() = default;

bool RequestParser::started() const {
  return impl_->started;
}
bool RequestParser::header_done() const {
  return impl_->header_read;
}
bool RequestParser::done() const {
  return impl_->header_read && status_ == 0 && impl_->parser.is_done();
}
bool RequestParser::keep_alive() const {
  return impl_->parser.keep_alive();
}
bool RequestParser::is_http_1_1() const {
  return impl_->parser.get().version() >= 11;
}
bool RequestParser::take_expectation() {
  return std::exchange(expects_, false);
}

void RequestParser::fail(int status, std::string reason) {
  status_ = status;
  reason_ = std::move(reason);
}

namespace {

int status_of(beast::error_code error) {
  if (error == beast::http::error::header_limit) return 431;
  if (error == beast::http::error::body_limit) return 413;
  return 400;
}

}  // namespace

size_t RequestParser::feed(std::string_view bytes) {
  if (failed() || done()) return 0;
  size_t used = 0;
  while (used < bytes.size() && !failed() && !done()) {
    beast::error_code error;
    const size_t n =
        impl_->parser.put(boost::asio::buffer(bytes.data() + used, bytes.size() - used), error);
    used += n;
    impl_->started = impl_->started || n > 0;
    if (error == beast::http::error::need_more) {
      // Half a line stays with the caller; it must not grow without end either.
      if (!impl_->parser.is_header_done() && bytes.size() - used > impl_->limits.header_bytes)
        fail(431, "the headers are too long");
      break;
    }
    if (error) {
      fail(status_of(error),
           status_of(error) == 413
               ? "the body is longer than " + std::to_string(impl_->limits.body_bytes) + " bytes"
               : "malformed request: " + error.message());
      break;
    }
    if (impl_->parser.is_header_done() && !impl_->header_read) read_header();
    if (n == 0) break;
  }
  impl_->started = impl_->started || used < bytes.size();
  if (done()) request_.body = std::move(impl_->parser.get().body());
  return used;
}

void RequestParser::read_header() {
  impl_->header_read = true;
  const auto& message = impl_->parser.get();
  request_.method = std::string(message.method_string());
  for (const auto& field : message) {
    std::string name(field.name_string());
    for (char& c : name)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    request_.headers.emplace_back(std::move(name), std::string(field.value()));
  }
  const std::string_view target(message.target().data(), message.target().size());
  if (const auto path = percent_decode(target.substr(0, target.find('?')))) request_.path = *path;
  if (const size_t mark = target.find('?'); mark != std::string_view::npos)
    request_.query = std::string(target.substr(mark + 1));
  if (!request_.path.starts_with('/') && !(request_.path == "*" && request_.method == "OPTIONS"))
    return fail(400, "the request target is not a path");
  const std::string_view coding = request_.header("transfer-encoding");
  if (!coding.empty() && !impl_->parser.chunked())
    return fail(501, "transfer-encoding " + std::string(coding) + " is not known here");
  const auto length = impl_->parser.content_length();
  if (length && *length > impl_->limits.body_bytes)
    return fail(413, "the body of " + std::to_string(*length) + " bytes is longer than " +
                         std::to_string(impl_->limits.body_bytes));
  expects_ = request_.header("expect") == "100-continue";
}

}  // namespace http
}  // namespace lm
