// Colours Lua while it is typed. Works on unfinished text; never fails.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lm {

enum class Style : uint8_t {
  plain,
  keyword,
  constant,
  number,
  string,
  comment,
  command,
  bracket,
  match,
  hint,
  prompt,
};

// One style per byte. A line that starts with `?`, `:` or `$` is a command, not Lua.
std::vector<Style> highlight_lua(std::string_view text);

// Finds the bracket that pairs with the one at or just before the cursor; brackets in strings and
// comments do not count. Returns false when there is none.
bool find_bracket_pair(std::string_view text, const std::vector<Style>& styles, size_t cursor,
                       size_t& one, size_t& other);

// The escape sequence that switches to a style ("\x1b[0m" for plain).
const char* style_escape(Style style);

}  // namespace lm
