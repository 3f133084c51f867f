// JSON of requests and answers. Members keep their order: chat templates show tools as they came.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace lm::serve {

using Json = nlohmann::ordered_json;

// Throws ApiError 400: with the place of what is wrong, for nesting beyond 100 levels, and for what
// is no object.
Json parse_body(std::string_view text);
// Compact; ill-formed UTF-8 becomes U+FFFD.
std::string dump(const Json& value);

}  // namespace lm::serve
