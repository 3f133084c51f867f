// The headers of the revision 2026-07-28, which repeat what the body says.
#pragma once

#include <optional>

#include "engine/api/http_server.h"
#include "mcp/message.h"

namespace lm::mcp {

// The value of the first header of that name (lower case), or "".
std::string_view header(const HttpServerRequest& request, std::string_view name);

// What does not agree; nothing when all does.
std::optional<RpcError> check_headers(const HttpServerRequest& request, const Json& message);
// The headers that a tool's schema asks for (x-mcp-header), against the arguments.
std::optional<RpcError> check_parameter_headers(const HttpServerRequest& request,
                                                const Json& message, const Json& input_schema);
// A header's value: as it is, or out of =?base64?...?=. Nothing when that is damaged.
std::optional<std::string> decoded_header(std::string_view value);

}  // namespace lm::mcp
