// Walking the lists of steps in a tokenizer.json. Internal to engine/text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "engine/core/error.h"
#include "engine/text/hf_json.h"

namespace lm {

// Finds the row of a step's type; throws unsupported listing the known ones.
template <typename Row, size_t N>
const Row& find_step(const Row (&rows)[N], const std::string& type, const char* section) {
  std::string known;
  for (const Row& row : rows) {
    if (type == row.type) return row;
    known.append(known.empty() ? "" : ", ").append(row.type);
  }
  throw Error(ErrorCode::unsupported,
              fmt::format("load: {} \"{}\"; expected one that is known", section, type),
              "known: " + known);
}

// Calls step(description) for a step or, recursively, for the members of a Sequence, whose list is
// named `members`.
template <typename Step>
void each_step(const nlohmann::json& description, const char* members, Step&& step, int depth = 0) {
  constexpr int kMaxNesting = 16;  // of Sequence steps
  if (description.is_null()) return;
  LM_CHECK(depth < kMaxNesting, ErrorCode::bad_file,
           "load: Sequence steps nested more than {} deep", kMaxNesting);
  if (json_string(description, "type") != "Sequence") {
    step(description);
    return;
  }
  const nlohmann::json& list = json_field(description, members);
  LM_CHECK(list.is_array(), ErrorCode::bad_file, "load: \"{}\" is {}; expected a list", members,
           list.type_name());
  for (const nlohmann::json& member : list) each_step(member, members, step, depth + 1);
}

// {"String": "..."} or {"Regex": "..."}
struct StepPattern {
  std::string text;
  bool regex;
};
inline StepPattern read_pattern(const nlohmann::json& description) {
  const nlohmann::json& pattern = json_field(description, "pattern");
  if (pattern.is_object() && pattern.contains("Regex"))
    return {json_string(pattern, "Regex"), true};
  return {json_string(pattern, "String"), false};
}

}  // namespace lm
