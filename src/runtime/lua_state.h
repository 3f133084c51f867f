// A Lua state with everything of ours in it: the guard around C functions, the standard library's
// loader, lm.host, the bindings, output through the console. Include this instead of lua.hpp where
// only the handle is needed.
#pragma once

struct lua_State;

namespace lm {

class LuaState {
 public:
  // main: Ctrl-C stops its code (one such state per process). worker: for a job's thread; its
  // Ctrl-C is the job's stop.
  enum class Kind : unsigned char { main, worker };

  explicit LuaState(Kind kind);
  ~LuaState();
  LuaState(const LuaState&) = delete;
  LuaState& operator=(const LuaState&) = delete;

  lua_State* get() const { return state_; }

 private:
  lua_State* state_;
  Kind kind_;
};

}  // namespace lm
