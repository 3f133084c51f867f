// Arguments that are not written as JSON, as JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lm::tool_calls {

// The end of the bracket that opens at `begin` in Python or JSON text, or npos while it is not
// there. Strings in either quotes are seen through.
size_t closing_bracket(std::string_view text, size_t begin);
// The same where strings stand between <|"|>.
size_t closing_gemma_bracket(std::string_view text, size_t begin);

// `a=1, b="x"` as {"a": 1, "b": "x"}: Python's literals, lists, dictionaries. Nothing for what is
// something else.
std::optional<std::string> python_arguments(std::string_view text);
// `{a:1,b:<|"|>x<|"|>}` as JSON.
std::optional<std::string> gemma_arguments(std::string_view text);
// One argument's text as a JSON value: a string where the schema (JSON) wants one or where it is no
// JSON, else as it is.
std::string tagged_argument(std::string_view value, std::string_view schema,
                            const std::string& name);

}  // namespace lm::tool_calls
