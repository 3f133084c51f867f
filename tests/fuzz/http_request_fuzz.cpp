// What clients send: requests with their targets, hosts, bodies and forms.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "engine/serve/api_error.h"
#include "engine/serve/http/request_parser.h"
#include "engine/serve/http/url.h"
#include "engine/serve/json.h"
#include "engine/serve/multipart.h"
#include "engine/serve/route.h"

namespace {

// Feeds the bytes in pieces; what is not taken is fed again with what follows, as from a socket.
void parse(lm::http::RequestParser& parser, std::string_view bytes, size_t piece) {
  size_t taken = 0;
  for (size_t end = 0; end < bytes.size() && !parser.done() && !parser.failed();) {
    end = std::min(bytes.size(), end + piece);
    const size_t n = parser.feed(bytes.substr(taken, end - taken));
    if (n > end - taken) __builtin_trap();
    taken += n;
  }
}

template <typename F>
void refusable(F&& f) {
  try {
    f();
  } catch (const lm::serve::ApiError& error) {
    if (error.status() < 400 || error.status() > 599) __builtin_trap();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  lm::http::RequestParser whole({4096, 65536}), pieces({4096, 65536});
  parse(whole, text, size + 1);
  parse(pieces, text, 7);
  // However the bytes are cut, the request is the same.
  if (whole.done() != pieces.done()) __builtin_trap();
  if (whole.failed() && (whole.status() < 400 || whole.reason().empty())) __builtin_trap();
  if (!whole.done()) return 0;
  lm::HttpServerRequest& request = whole.request();
  if (request.path != pieces.request().path || request.body != pieces.request().body)
    __builtin_trap();
  std::string id, allowed;
  lm::serve::find_route(request.method, request.path, &id, &allowed);
  lm::http::host_of(request.header("host"));
  lm::http::same_origin(request.header("origin"), request.header("host"), false);
  refusable([&] { (void)lm::serve::parse_body(request.body); });
  refusable([&] { lm::serve::parse_form(request.body, request.header("content-type")); });
  return 0;
}
