// What MCP clients send: messages to a session over any transport, headers, tokens. A session
// answers each request once at most, with JSON; it never throws.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "mcp/authorization.h"
#include "mcp/http_headers.h"
#include "mcp/server.h"

namespace {

using lm::mcp::Json;

class Checked : public lm::mcp::Sink {
 public:
  void send(std::string message) override {
    const Json parsed = Json::parse(message, nullptr, false);
    if (parsed.is_discarded()) __builtin_trap();
  }
};

// Lines, as over stdio; the first decide the revision.
void talk(std::string_view text) {
  lm::mcp::ServerOptions options;
  options.page_size = 2;
  options.handler = [](std::shared_ptr<lm::mcp::Call> call) {
    call->progress(1, 2, "half");
    call->log("error", "fuzz", "1");
    call->respond(R"({"content": []})");
    call->respond("{}");  // a second time
  };
  const auto server = std::make_shared<lm::mcp::Server>(options);
  server->set_list("tools",
                   R"([{"name":"a","inputSchema":{"properties":{"x":{"x-mcp-header":"X"}}}},
                       {"name":"b"},{"name":"c"}])");
  server->set_scopes(R"({"a":["write"]})");
  const auto sink = std::make_shared<Checked>();
  const auto session = server->connect(sink, "somebody");
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    session->receive(text.substr(0, end), sink);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  server->set_list("tools", "[]");
  server->resource_updated("notes://today");
  session->close();
}

void headers(std::string_view text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string value(text.substr(0, end));
  lm::mcp::bearer_token(value);
  lm::mcp::decoded_header(value);
  lm::HttpServerRequest request;
  request.headers = {{"mcp-protocol-version", "2026-07-28"},
                     {"mcp-method", "tools/call"},
                     {"mcp-name", value},
                     {"mcp-param-x", value}};
  Json message = Json::parse(text.substr(std::min(end + 1, text.size())), nullptr, false);
  if (!message.is_object()) return;
  lm::mcp::check_headers(request, message);
  lm::mcp::check_parameter_headers(request, message,
                                   Json::parse(R"({"properties":{"x":{"x-mcp-header":"X"}}})"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  talk(text);
  headers(text);
  return 0;
}
