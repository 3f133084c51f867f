// JSON from files: strict, with bounded depth, errors as lm::Error. For .cpp files of the engine
// only.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace lm {

// Throws bad_file naming `name` and the position; depth is limited to 256 levels.
nlohmann::json parse_json(std::string_view text, const std::string& name);
// Reads and parses; throws not_found, io, bad_file as well.
nlohmann::json read_json_file(const std::string& path);

}  // namespace lm
