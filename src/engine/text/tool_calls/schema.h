// What tools and their schemas say, as the grammar and the parser need it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace lm::tool_calls {

struct ToolInfo {
  std::string name;
  std::string schema;  // of the arguments: a JSON object
};

// How objects that are calls may begin where no marker stands and a constraint holds, with the key
// of the name; or, in_list, the list that they stand in.
std::vector<std::string> unmarked_openings(const std::string& name_key, bool in_list);

// Reads a list of tools as in the OpenAI API, or of the functions inside. Throws bad_option.
std::vector<ToolInfo> read_tools(std::string_view json);
// The schema in which objects have no properties but those named, wherever that is plain to see.
nlohmann::ordered_json closed(const nlohmann::ordered_json& schema);
// Whether a schema allows nothing but strings.
bool is_string(const nlohmann::ordered_json& schema);

}  // namespace lm::tool_calls
