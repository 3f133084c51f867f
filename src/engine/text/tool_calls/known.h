// The formats that a template does not show when it is rendered: one row each.
#pragma once

#include <optional>

#include "engine/api/tool_calls.h"

namespace lm::tool_calls {

// The format of a template whose source says that it is one of these.
std::optional<ToolCallFormat> find_known(const std::string& source);
// {"name": ..., "arguments": {...}}, for models that were taught nothing.
ToolCallFormat generic_format();
// Sets what stands around thoughts, by what the template mentions.
void find_reasoning(const std::string& source, ToolCallFormat* format);

}  // namespace lm::tool_calls
