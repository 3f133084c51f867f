#include "engine/serve/json.h"

#include <nlohmann/json.hpp>

#include "engine/serve/api_error.h"

namespace lm::serve {
namespace {

constexpr int kMostLevels = 100;

bool is_deep(std::string_view text) {
  int level = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++level > kMostLevels) return true;
    } else if (c == ']' || c == '}') {
      --level;
    }
  }
  return false;
}

}  // namespace

Json parse_body(std::string_view text) {
  if (is_deep(text))
    throw ApiError(400, "the body nests deeper than " + std::to_string(kMostLevels) + " levels");
  try {
    Json body = Json::parse(text);
    if (body.is_object()) return body;
  } catch (const nlohmann::json::exception& error) {
    throw ApiError(400, std::string("the body is not JSON: ") + error.what());
  }
  throw ApiError(400, "the body is JSON but no object");
}

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace lm::serve
