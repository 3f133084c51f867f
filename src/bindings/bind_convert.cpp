// The Lua module lm.engine.convert: models into other file formats and weight types. The function
// users see is in lua/stdlib/lm/convert.lua.
#include <lua.hpp>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/error_table.h"
#include "engine/api/convert.h"

namespace lm {
namespace {

void push_result(lua_State* L, const ConvertResult& r) {
  lua_newtable(L);
  set_field(L, "format", r.format);
  set_field(L, "bytes", r.file_bytes);
  lua_createtable(L, static_cast<int>(r.files.size()), 0);
  for (size_t i = 0; i < r.files.size(); ++i) {
    push_string(L, r.files[i]);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  lua_setfield(L, -2, "files");
  lua_newtable(L);
  for (const auto& [type, n] : r.types) set_field(L, type.c_str(), n);
  lua_setfield(L, -2, "types");
}

// convert({from, to, type, max_file_bytes, overwrite}, on_progress or nil) -> {format, files,
// bytes, types}
int convert(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  ConvertOptions o;
  o.from = text_field(L, 1, "from");
  o.to = text_field(L, 1, "to");
  o.type = text_field(L, 1, "type");
  lua_getfield(L, 1, "max_file_bytes");
  o.max_file_bytes = static_cast<uint64_t>(luaL_optnumber(L, -1, 0));
  lua_getfield(L, 1, "overwrite");
  o.overwrite = lua_toboolean(L, -1) != 0;
  lua_pop(L, 2);
  lua_getfield(L, 1, "adapters");  // list of {path, scale}
  for (int i = 1; lua_istable(L, -1) && i <= static_cast<int>(lua_objlen(L, -1)); ++i) {
    lua_rawgeti(L, -1, i);
    const int at = lua_gettop(L);
    lua_rawgeti(L, at, 1);
    lua_rawgeti(L, at, 2);
    o.adapters.emplace_back(string_at(L, at + 1), luaL_optnumber(L, at + 2, 1));
    lua_settop(L, at - 1);
  }
  lua_pop(L, 1);
  if (lua_isfunction(L, 2))
    o.progress = [L](double fraction) {
      lua_pushvalue(L, 2);
      lua_pushnumber(L, fraction);
      protected_call(L, 1, 0);
    };
  push_result(L, convert_model(o));
  return 1;
}

// types() -> names of file types
int types(lua_State* L) {
  lua_newtable(L);
  int i = 0;
  for (const char* name : convert_types()) {
    push_string(L, name);
    lua_rawseti(L, -2, ++i);
  }
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_convert(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kFunctions[] = {{"convert", convert}, {"types", types}, {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
