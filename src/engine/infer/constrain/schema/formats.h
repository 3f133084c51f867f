// The formats of JSON Schema (draft 2020-12, validation, section 7.3) as regular expressions.
#pragma once

#include <string_view>

namespace lm {

// The pattern that the whole text matches, or null for a format that is not known. "" is any text.
const char* format_pattern(std::string_view name);
// Whether the standard defines a format of this name that has no pattern here.
bool is_standard_format(std::string_view name);

}  // namespace lm
