#include "bindings/error_table.h"

#include <new>

namespace lm {
namespace {

constexpr const char* kMetatable = "lm.Error";

void set_field(lua_State* L, const char* name, const std::string& value) {
  lua_pushlstring(L, value.data(), value.size());
  lua_setfield(L, -2, name);
}

std::string get_field(lua_State* L, int index, const char* name) {
  lua_pushstring(L, name);
  lua_rawget(L, index);
  size_t size = 0;
  const char* text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : nullptr;
  std::string value(text ? text : "", size);
  lua_pop(L, 1);
  return value;
}

int error_tostring(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  const Error error = to_error(L, 1);
  std::string text =
      error.where().empty() ? error.message() : error.where() + ": " + error.message();
  if (!error.hint().empty()) text += "\n  hint: " + error.hint();
  lua_pushlstring(L, text.data(), text.size());
  return 1;
}

int guard(lua_State* L, lua_CFunction function) {
  try {
    return function(L);
  } catch (const Error& error) {
    push_error(L, error);
  } catch (const std::bad_alloc&) {
    push_error(L, Error(ErrorCode::out_of_memory, "out of memory"));
  } catch (const std::exception& error) {
    push_error(L, Error(ErrorCode::internal, error.what()));
  }
  return lua_error(L);
}

}  // namespace

void push_error(lua_State* L, const Error& error) {
  luaL_checkstack(L, 4, "error table");
  lua_createtable(L, 0, 4);
  set_field(L, "code", error_code_name(error.code()));
  set_field(L, "message", error.message());
  if (!error.hint().empty()) set_field(L, "hint", error.hint());
  if (!error.where().empty()) set_field(L, "where", error.where());
  if (luaL_newmetatable(L, kMetatable)) {
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushstring(L, kMetatable);
    lua_setfield(L, -2, "__name");
  }
  lua_setmetatable(L, -2);
}

Error to_error(lua_State* L, int index) {
  if (index < 0) index = lua_gettop(L) + 1 + index;
  if (!lua_checkstack(L, 4)) return Error(ErrorCode::internal, "Lua stack overflow");
  if (lua_istable(L, index)) {
    const std::string code = get_field(L, index, "code");
    std::string message = get_field(L, index, "message");
    if (message.empty()) message = "error value without a message";
    return Error(error_code_from_name(code), std::move(message), get_field(L, index, "hint"),
                 get_field(L, index, "where"));
  }
  if (lua_type(L, index) == LUA_TSTRING || lua_type(L, index) == LUA_TNUMBER) {
    lua_pushvalue(L, index);  // lua_tolstring would change a number in place
    size_t size = 0;
    const char* text = lua_tolstring(L, -1, &size);
    std::string message(text, size);
    lua_pop(L, 1);
    return Error(ErrorCode::internal, std::move(message));
  }
  return Error(ErrorCode::internal, std::string("error value of type ") + luaL_typename(L, index));
}

void install_guard(lua_State* L) {
  lua_pushlightuserdata(L, reinterpret_cast<void*>(guard));
  luaJIT_setmode(L, -1, LUAJIT_MODE_WRAPCFUNC | LUAJIT_MODE_ON);
  lua_pop(L, 1);
}

void protected_call(lua_State* L, int n_args, int n_results) {
  if (lua_pcall(L, n_args, n_results, 0) == 0) return;
  const Error error = to_error(L, -1);
  lua_pop(L, 1);
  throw error;
}

}  // namespace lm
