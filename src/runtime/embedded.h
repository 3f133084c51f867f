// Files compiled into the executable: the Lua standard library, recipes and the dependency list.
#pragma once

namespace lm {

struct EmbeddedFile {
  const char* name;  // path below the project root, e.g. "lua/stdlib/lm/schema.lua"
  const char* begin;
  const char* end;
};

extern const EmbeddedFile kEmbeddedFiles[];  // ends with a row of null pointers

}  // namespace lm
