#include "engine/text/hf_step_list.h"

#include <nlohmann/json.hpp>

#include "engine/text/hf_json.h"

namespace lm {

using nlohmann::json;

void each_step(const json& description, const char* members,
               const std::function<void(const json&)>& step, int depth) {
  constexpr int kMaxNesting = 16;  // of Sequence steps
  if (description.is_null()) return;
  LM_CHECK(depth < kMaxNesting, ErrorCode::bad_file,
           "load: Sequence steps nested more than {} deep", kMaxNesting);
  if (json_string(description, "type") != "Sequence") {
    step(description);
    return;
  }
  const json& list = json_field(description, members);
  LM_CHECK(list.is_array(), ErrorCode::bad_file, "load: \"{}\" is {}; expected a list", members,
           list.type_name());
  for (const json& member : list) each_step(member, members, step, depth + 1);
}

StepPattern read_pattern(const json& description) {
  const json& pattern = json_field(description, "pattern");
  if (pattern.is_object() && pattern.contains("Regex"))
    return {json_string(pattern, "Regex"), true};
  return {json_string(pattern, "String"), false};
}

}  // namespace lm
