// Engine objects in Lua: a userdata that holds a shared_ptr. The same object may stand in several
// Lua states, so jobs share models instead of copying them. Collecting a handle drops its
// reference, nothing else; it may run in any state.
#pragma once

#include <lua.hpp>
#include <memory>
#include <utility>

#include "bindings/external_bytes.h"

namespace lm {

// The userdata's memory. `object` is empty after free_shared().
struct SharedHandle {
  const char* type_name;
  std::shared_ptr<void> object;
  ExternalBytes bytes;
};

// Creates the metatable `type_name` (a string literal, e.g. "lm.Model") in this state, with
// `methods` as __index; `metamethods` (may be null) add to or replace __gc, __tostring, __eq. Call
// it from the binding's luaopen function, which runs once per state. Leaves the metatable on the
// stack.
void new_shared_type(lua_State* L, const char* type_name, const luaL_Reg* methods,
                     const luaL_Reg* metamethods = nullptr);

// Pushes a handle. `bytes`: memory that ends with the object, counted for `:mem` and for garbage
// collection (a second handle of the same object should say 0).
void push_shared_object(lua_State* L, const char* type_name, std::shared_ptr<void> object,
                        size_t bytes = 0);

template <typename T>
void push_shared(lua_State* L, const char* type_name, std::shared_ptr<T> object, size_t bytes = 0) {
  push_shared_object(L, type_name,
                     std::const_pointer_cast<std::remove_const_t<T>>(std::move(object)), bytes);
}

// The handle at `index`, or null when the value is something else.
SharedHandle* to_shared(lua_State* L, int index);

// The object behind the argument. Throws bad_option when it is something else or was freed.
std::shared_ptr<void> check_shared_object(lua_State* L, int index, const char* type_name);

template <typename T>
std::shared_ptr<T> check_shared(lua_State* L, int index, const char* type_name) {
  return std::static_pointer_cast<T>(check_shared_object(L, index, type_name));
}

// `:free()`: drops the reference now; later uses raise an error. Idempotent; a lua_CFunction.
int free_shared(lua_State* L);

}  // namespace lm
