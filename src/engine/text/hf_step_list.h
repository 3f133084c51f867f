// Walking the lists of steps in a tokenizer.json. Internal to engine/text.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/core/error.h"

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
// named `members`; does nothing for null.
void each_step(const nlohmann::json& description, const char* members,
               const std::function<void(const nlohmann::json&)>& step, int depth = 0);

// {"String": "..."} or {"Regex": "..."} under "pattern".
struct StepPattern {
  std::string text;
  bool regex;
};
StepPattern read_pattern(const nlohmann::json& description);

}  // namespace lm
