// JSON-RPC 2.0 messages as the Model Context Protocol uses them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace lm::mcp {

using Json = nlohmann::ordered_json;

// JSON-RPC's codes and those of the protocol (revision 2026-07-28).
enum RpcCode : int {
  kParseError = -32700,
  kInvalidRequest = -32600,
  kMethodNotFound = -32601,
  kInvalidParams = -32602,
  kInternalError = -32603,
  kHeaderMismatch = -32020,
  kMissingCapability = -32021,
  kUnsupportedVersion = -32022,
  kResourceNotFoundLegacy = -32002,
};

inline constexpr size_t kMaxMessage = size_t{16} << 20;
inline constexpr int kMaxDepth = 200;

// What goes back to the peer as an error.
struct RpcError {
  int code = kInternalError;
  std::string message;
  std::string data;  // JSON, or empty
};

// Parses one message. Throws RpcError{parse error} for what is no JSON, too deep, too long or not
// UTF-8.
Json parse_message(std::string_view text);
// Whether a value may be the id of a request: a string or an integer.
bool is_id(const Json& id);

// A member that is a text; "" for everything else.
std::string text_at(const Json& object, const std::string& key);
// The texts of a member that is a list; others in it are left out.
std::vector<std::string> texts_at(const Json& object, const std::string& key);
// The parameters of a message, and what they carry about it; {} where there is none.
Json params_of(const Json& message);
Json meta_of(const Json& params);
// 128 bits of chance as 32 hexadecimal digits: ids that nobody can guess.
std::string unguessable_id();
// What the protocol's own keys in _meta begin with.
inline constexpr const char* kMeta = "io.modelcontextprotocol/";

std::string result_text(const Json& id, const Json& result);
std::string error_text(const Json& id, const RpcError& error);
std::string request_text(const Json& id, std::string_view method, const Json& params);
std::string notification_text(std::string_view method, const Json& params);

}  // namespace lm::mcp
