// Arguments and results that the bindings of models and generation have in common.
#pragma once

#include <lua.hpp>
#include <string>
#include <vector>

#include "bindings/shared_handle.h"
#include "engine/api/model.h"
#include "engine/core/error.h"

namespace lm {

constexpr const char* kModel = "lm.Model";
constexpr const char* kContext = "lm.Context";
constexpr const char* kTokenizer = "lm.Tokenizer";
constexpr const char* kConstraint = "lm.Constraint";

inline std::shared_ptr<const Model> check_model(lua_State* L, int index) {
  return check_shared<const Model>(L, index, kModel);
}

inline std::string string_at(lua_State* L, int index) {
  size_t size = 0;
  const char* text = luaL_checklstring(L, index, &size);
  return {text, size};
}

inline std::vector<int32_t> ids_at(lua_State* L, int index) {
  luaL_checktype(L, index, LUA_TTABLE);
  std::vector<int32_t> ids(lua_objlen(L, index));
  for (size_t i = 0; i < ids.size(); ++i) {
    lua_rawgeti(L, index, static_cast<int>(i) + 1);
    const double value = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : -1.0;
    LM_CHECK(value >= 0 && value < 2147483648.0 &&
                 value == static_cast<double>(static_cast<int32_t>(value)),
             ErrorCode::bad_option, "token {} is {}; expected a token id", i + 1,
             lua_isnumber(L, -1) ? fmt::format("{}", value) : luaL_typename(L, -1));
    ids[i] = static_cast<int32_t>(value);
    lua_pop(L, 1);
  }
  return ids;
}

template <typename T>
void push_numbers(lua_State* L, const T* values, size_t n) {
  lua_createtable(L, static_cast<int>(n), 0);
  for (size_t i = 0; i < n; ++i) {
    lua_pushnumber(L, static_cast<lua_Number>(values[i]));
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
}

inline double number_field(lua_State* L, int index, const char* name, double fallback) {
  lua_getfield(L, index, name);
  const double value = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : fallback;
  lua_pop(L, 1);
  return value;
}

// The text of a field, numbers included; `fallback` for everything else.
inline std::string text_field(lua_State* L, int index, const char* name,
                              std::string fallback = {}) {
  lua_getfield(L, index, name);
  if (lua_isstring(L, -1)) fallback = string_at(L, -1);
  lua_pop(L, 1);
  return fallback;
}

// Whether a field is neither nil nor false; `fallback` for nil.
inline bool flag_field(lua_State* L, int index, const char* name, bool fallback = false) {
  lua_getfield(L, index, name);
  const bool value = lua_isnil(L, -1) ? fallback : lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return value;
}

// The texts of a field's list; none when it is no table.
inline std::vector<std::string> texts_field(lua_State* L, int index, const char* name) {
  std::vector<std::string> texts;
  lua_getfield(L, index, name);
  if (lua_istable(L, -1))
    for (int i = 1; i <= static_cast<int>(lua_objlen(L, -1)); ++i) {
      lua_rawgeti(L, -1, i);
      texts.push_back(string_at(L, -1));
      lua_pop(L, 1);
    }
  lua_pop(L, 1);
  return texts;
}

}  // namespace lm
