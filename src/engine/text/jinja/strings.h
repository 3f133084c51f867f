// Python's string operations that filters and methods share.
#pragma once

#include <string>
#include <string_view>

#include "engine/text/jinja/value.h"

namespace lm::jinja {

// Without the characters of `chars` (Unicode white space when nullptr) at the chosen ends.
std::string strip_chars(std::string_view s, const std::string* chars, bool left, bool right);
std::string upper_text(std::string_view s);
std::string title_text(std::string_view s);       // every word capitalised
std::string capitalize_text(std::string_view s);  // the first character upper, the rest lower
// At most `limit` replacements; limit < 0: all. Stops growing the result at max_size bytes and
// returns false.
bool replace_all(std::string_view s, std::string_view what, std::string_view with, int64_t limit,
                 size_t max_size, std::string* out);
// s.split(separator, limit) and rsplit; without separator at runs of white space.
List split_text(std::string_view s, const std::string* separator, int64_t limit, bool from_right);
List split_lines(std::string_view s);
std::string escape_html(std::string_view s);  // & < > " ', as markupsafe

}  // namespace lm::jinja
