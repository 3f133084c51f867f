// The Lua module lm.host: what the standard library asks of the process (docs/design/shell.md).
#pragma once

#include <lua.hpp>

namespace lm {

// Pushes the module's table; the opener of "lm.host".
int open_host(lua_State* L);

// Adds job_spawn, job_info and the other job functions to the table at the top of the stack.
void add_job_functions(lua_State* L);

}  // namespace lm
