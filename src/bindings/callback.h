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

// A Lua function that C++ calls on the main thread. Each call that runs has a stack of its own: the
// main stack, and that of a call that is not over yet, may be in the middle of anything.
class Callback {
 public:
  Callback(lua_State* state, int index) {
    lua_pushvalue(state, index);
    function_ = luaL_ref(state, LUA_REGISTRYINDEX);
    home_ = lua_newthread(state);
    luaL_ref(state, LUA_REGISTRYINDEX);
  }

  // Calls it with a handle, and perhaps texts; what it raises comes out as an Error.
  void operator()(const char* type, std::shared_ptr<void> handle,
                  const std::vector<std::string>& texts = {}) const {
    lua_State* const L = take();
    luaL_checkstack(L, static_cast<int>(texts.size()) + 8, "callback");
    lua_rawgeti(L, LUA_REGISTRYINDEX, function_);
    int n = 0;
    if (handle) push_shared_object(L, type, std::move(handle)), ++n;
    for (const std::string& text : texts) push_string(L, text), ++n;
    const int failed = lua_pcall(L, n, 0, 0);
    const Error e = failed ? to_error(L, -1) : Error(ErrorCode::internal, "");
    lua_settop(L, 0);
    idle_.push_back(L);
    if (failed) throw e;
  }

 private:
  // A stack that is free; those made once are kept as long as the state.
  lua_State* take() const {
    if (idle_.empty()) {
      lua_State* const made = lua_newthread(home_);
      luaL_ref(home_, LUA_REGISTRYINDEX);
      return made;
    }
    lua_State* const L = idle_.back();
    idle_.pop_back();
    return L;
  }

  lua_State* home_ = nullptr;  // runs nothing, makes stacks
  int function_ = LUA_NOREF;
  mutable std::vector<lua_State*> idle_;
};

}  // namespace lm
