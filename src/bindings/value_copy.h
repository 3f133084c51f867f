// Lua values to and from runtime/value.h.
#pragma once

#include <lua.hpp>
#include <string>

#include "runtime/value.h"

namespace lm {

// Copies the value at `index`. Metatables of tables are dropped; handles of engine objects are
// shared. Throws bad_option, naming the path (`what`, e.g. "argument 1"), for functions,
// coroutines, other userdata, cycles and nesting beyond 100 levels.
Value copy_value(lua_State* L, int index, const std::string& what);

// Pushes the value.
void push_value(lua_State* L, const Value& value);

}  // namespace lm
