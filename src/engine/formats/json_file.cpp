#include "engine/formats/json_file.h"

#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/mapped_file.h"

namespace lm {

constexpr int kMaxDepth = 256;

nlohmann::json parse_json(std::string_view text, const std::string& name) {
  const auto limit = [&](int depth, nlohmann::json::parse_event_t, const nlohmann::json&) {
    LM_CHECK(depth <= kMaxDepth, ErrorCode::bad_file, "{}: JSON is nested deeper than {} levels",
             name, kMaxDepth);
    return true;
  };
  try {
    return nlohmann::json::parse(text, limit);
  } catch (const nlohmann::json::exception& e) {
    std::string why = e.what();
    if (const size_t colon = why.find("] "); colon != std::string::npos)
      why = why.substr(colon + 2);
    raise(ErrorCode::bad_file, "{}: not valid JSON: {}", name, why);
  }
}

nlohmann::json read_json_file(const std::string& path) {
  return parse_json(read_file(path), path);
}

}  // namespace lm
