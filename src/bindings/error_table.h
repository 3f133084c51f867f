// lm::Error in Lua: a table {code=, message=, hint=, where=} with the metatable "lm.Error". Used by
// every C function of ours through guard(), which LuaJIT runs around each of them.
#pragma once

#include <lua.hpp>
#include <string>

#include "engine/core/error.h"

namespace lm {

// Pushes the table for an error. `hint` and `where` are left out when empty.
void push_error(lua_State* L, const Error& error);

// The error table (or any error value) at `index` as an Error: other tables keep `code` and
// `message` when they have them, anything else becomes an `internal` error with its text. Does not
// change the stack.
Error to_error(lua_State* L, int index);

// Makes every C function called from this state turn lm::Error and std::exception into error
// tables. Lua errors pass untouched. So bindings throw freely; they never write `catch (...)`.
void install_guard(lua_State* L);

// Calls the function below `n_args` arguments like lua_call, but turns a Lua error into a thrown
// lm::Error. For C++ that runs outside of Lua: event-loop closures, threads, the top level. The
// traceback handler of Lua's side is not used.
void protected_call(lua_State* L, int n_args, int n_results);

}  // namespace lm
