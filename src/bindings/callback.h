// Lua functions that C++ keeps and calls later.
#pragma once

#include <lua.hpp>
#include <memory>
#include <string>
#include <vector>

#include "bindings/bind.h"
#include "bindings/error_table.h"
#include "bindings/shared_handle.h"
#include "engine/core/error.h"

namespace lm {

// A Lua function that C++ calls on the main thread. It runs on a stack of its own: the main stack
// may be in the middle of anything.
struct Callback {
  lua_State* L;
  int thread = LUA_NOREF, function = LUA_NOREF;

  Callback(lua_State* state, int index) {
    lua_pushvalue(state, index);
    function = luaL_ref(state, LUA_REGISTRYINDEX);
    L = lua_newthread(state);
    thread = luaL_ref(state, LUA_REGISTRYINDEX);
  }
  // Calls it with a handle, and perhaps texts; what it raises comes out as an Error.
  void operator()(const char* type, std::shared_ptr<void> handle,
                  const std::vector<std::string>& texts = {}) const {
    const int top = lua_gettop(L);
    luaL_checkstack(L, static_cast<int>(texts.size()) + 8, "callback");
    lua_rawgeti(L, LUA_REGISTRYINDEX, function);
    int n = 0;
    if (handle) push_shared_object(L, type, std::move(handle)), ++n;
    for (const std::string& text : texts) push_string(L, text), ++n;
    if (lua_pcall(L, n, 0, 0) != 0) {
      const Error e = to_error(L, -1);
      lua_settop(L, top);
      throw e;
    }
    lua_settop(L, top);
  }
};

}  // namespace lm
