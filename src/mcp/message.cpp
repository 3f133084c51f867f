#include "mcp/message.h"

#include <nlohmann/json.hpp>
#include <random>

namespace lm::mcp {

namespace {

std::string text_of(const Json& message) {
  return message.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Json parse_message(std::string_view text) {
  if (text.size() > kMaxMessage)
    throw RpcError{kParseError, "the message is longer than 16 MiB", ""};
  bool too_deep = false;
  const auto check = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return !too_deep;
  };
  Json message = Json::parse(text, check, false);
  if (too_deep) throw RpcError{kParseError, "the message is nested deeper than 200 levels", ""};
  if (message.is_discarded()) throw RpcError{kParseError, "the message is no JSON", ""};
  return message;
}

std::string unguessable_id() {
  static constexpr char kHex[] = "0123456789abcdef";
  std::random_device random;
  std::string id;
  while (id.size() < 32)
    for (unsigned bits = random(), n = 0; n < 8; bits >>= 4, ++n) id += kHex[bits % 16];
  return id;
}

bool is_id(const Json& id) {
  return id.is_string() || id.is_number_integer();
}

std::string text_at(const Json& object, const std::string& key) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_string()) return "";
  return object[key].get<std::string>();
}

std::vector<std::string> texts_at(const Json& object, const std::string& key) {
  std::vector<std::string> texts;
  if (object.is_object() && object.contains(key) && object[key].is_array())
    for (const Json& text : object[key])
      if (text.is_string()) texts.push_back(text);
  return texts;
}

Json params_of(const Json& message) {
  return message.contains("params") ? message["params"] : Json::object();
}

Json meta_of(const Json& params) {
  if (!params.is_object() || !params.contains("_meta") || !params["_meta"].is_object())
    return Json::object();
  return params["_meta"];
}

std::string result_text(const Json& id, const Json& result) {
  return text_of({{"jsonrpc", "2.0"}, {"id", id}, {"result", result}});
}

std::string error_text(const Json& id, const RpcError& error) {
  Json e = {{"code", error.code}, {"message", error.message}};
  if (!error.data.empty()) e["data"] = Json::parse(error.data, nullptr, false);
  return text_of({{"jsonrpc", "2.0"}, {"id", id}, {"error", e}});
}

std::string request_text(const Json& id, std::string_view method, const Json& params) {
  Json message = {{"jsonrpc", "2.0"}, {"id", id}, {"method", method}};
  if (!params.is_null()) message["params"] = params;
  return text_of(message);
}

std::string notification_text(std::string_view method, const Json& params) {
  Json message = {{"jsonrpc", "2.0"}, {"method", method}};
  if (!params.is_null()) message["params"] = params;
  return text_of(message);
}

}  // namespace lm::mcp
