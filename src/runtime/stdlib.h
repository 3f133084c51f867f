// Finds the modules of the Lua standard library: compiled in, or in the folder that LMFAST_LUA_PATH
// names (for development: its stdlib/lm and recipes come first).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lm {

struct StdlibFile {
  std::string path;  // "lua/stdlib/lm/schema.lua", or the path of the file on disk that replaces it
  std::string chunk_name;  // "@lua/stdlib/lm/schema.lua", wherever the text came from
  std::string text;
};

// The file of a module: "lm.schema", "lm" (its init.lua), "recipes.sft".
std::optional<StdlibFile> find_stdlib(std::string_view module);
// A file compiled in under exactly this path, e.g. "scripts/dependencies.tsv".
std::optional<std::string_view> find_embedded(std::string_view path);
// All module names, sorted.
std::vector<std::string> stdlib_modules();

}  // namespace lm
