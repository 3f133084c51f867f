#include "mcp/http_headers.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/text/base64.h"
#include "mcp/server.h"

namespace lm::mcp {
namespace {

constexpr std::string_view kSentinel = "=?base64?", kSentinelEnd = "?=";

RpcError mismatch(const std::string& what) {
  return {kHeaderMismatch, what, ""};
}

// What Mcp-Name repeats, or null.
const char* name_key(const std::string& method) {
  if (method == "tools/call" || method == "prompts/get") return "name";
  if (method == "resources/read") return "uri";
  if (is_task_method(method)) return "taskId";
  return nullptr;
}

bool has(const HttpServerRequest& request, const std::string& name) {
  return std::any_of(request.headers.begin(), request.headers.end(),
                     [&](const auto& h) { return h.first == name; });
}

bool agrees(const std::string& text, const Json& value) {
  if (value.is_string()) return text == value.get<std::string>();
  if (value.is_boolean()) return text == (value.get<bool>() ? "true" : "false");
  if (!value.is_number()) return false;
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  return end != text.c_str() && *end == 0 && number == value.get<double>();
}

}  // namespace

std::string_view header(const HttpServerRequest& request, std::string_view name) {
  for (const auto& [key, value] : request.headers)
    if (key == name) return value;
  return {};
}

std::optional<std::string> decoded_header(std::string_view value) {
  if (!value.starts_with(kSentinel) || !value.ends_with(kSentinelEnd) ||
      value.size() < kSentinel.size() + kSentinelEnd.size())
    return std::string(value);
  value.remove_prefix(kSentinel.size());
  value.remove_suffix(kSentinelEnd.size());
  try {
    return decode_base64(value);
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::optional<RpcError> check_headers(const HttpServerRequest& request, const Json& message) {
  const Json params = message.value("params", Json::object());
  const Json meta = params.is_object() ? params.value("_meta", Json::object()) : Json::object();
  const std::string version = text_at(meta, std::string(kMeta) + "protocolVersion");
  const std::string method = text_at(message, "method");
  if (!has(request, "mcp-protocol-version"))
    return mismatch("the header MCP-Protocol-Version is missing");
  if (!version.empty() && header(request, "mcp-protocol-version") != version)
    return mismatch("MCP-Protocol-Version differs from the body's protocolVersion");
  if (!has(request, "mcp-method")) return mismatch("the header Mcp-Method is missing");
  if (header(request, "mcp-method") != method)
    return mismatch("Mcp-Method differs from the body's method");
  const char* key = name_key(method);
  if (key == nullptr) return std::nullopt;
  if (!has(request, "mcp-name")) return mismatch("the header Mcp-Name is missing");
  const auto name = decoded_header(header(request, "mcp-name"));
  if (!name || *name != text_at(params, key))
    return mismatch(std::string("Mcp-Name differs from the body's ") + key);
  return std::nullopt;
}

std::optional<RpcError> check_parameter_headers(const HttpServerRequest& request,
                                                const Json& message, const Json& schema) {
  if (!schema.is_object() || !schema.contains("properties") || !schema["properties"].is_object())
    return std::nullopt;
  const Json params = message.value("params", Json::object());
  const Json arguments = params.value("arguments", Json::object());
  for (const auto& [name, property] : schema["properties"].items()) {
    const std::string suffix = text_at(property, "x-mcp-header");
    if (suffix.empty()) continue;
    std::string field = "mcp-param-" + suffix;
    std::transform(field.begin(), field.end(), field.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const bool given =
        arguments.is_object() && arguments.contains(name) && !arguments[name].is_null();
    if (!given) {
      if (has(request, field)) return mismatch(field + " stands for an argument that is absent");
      continue;
    }
    if (!has(request, field)) return mismatch("the header " + field + " is missing");
    const auto value = decoded_header(header(request, field));
    if (!value || !agrees(*value, arguments[name]))
      return mismatch(field + " differs from the argument " + name);
  }
  return std::nullopt;
}

}  // namespace lm::mcp
