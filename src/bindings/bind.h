// Small helpers that every binding of engine objects needs: fields of the table at the top of the
// stack.
#pragma once

#include <cstdint>
#include <lua.hpp>
#include <string_view>

namespace lm {

inline void push_string(lua_State* L, std::string_view text) {
  lua_pushlstring(L, text.data(), text.size());
}

inline void set_field(lua_State* L, const char* name, std::string_view value) {
  push_string(L, value);
  lua_setfield(L, -2, name);
}
inline void set_field(lua_State* L, const char* name, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, name);
}
inline void set_field(lua_State* L, const char* name, int64_t value) {
  set_field(L, name, static_cast<double>(value));
}
inline void set_field(lua_State* L, const char* name, int value) {
  set_field(L, name, static_cast<double>(value));
}
inline void set_field(lua_State* L, const char* name, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, name);
}
// A string literal would otherwise become a bool.
inline void set_field(lua_State* L, const char* name, const char* value) {
  set_field(L, name, std::string_view(value));
}

}  // namespace lm
