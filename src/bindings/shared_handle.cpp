#include "bindings/shared_handle.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <new>

#include "engine/core/error.h"

namespace lm {
namespace {

constexpr const char* kMark = "__lm_shared";  // in the metatables of our handles only

constexpr const char* kBindings[] = {
#define LM_BIND(name) "lm.engine." #name,
#include "bindings/bind_list.inc"
#undef LM_BIND
    nullptr};

int collect(lua_State* L) {
  if (auto* handle = static_cast<SharedHandle*>(lua_touserdata(L, 1))) handle->~SharedHandle();
  lua_pushnil(L);
  lua_setmetatable(L, 1);  // a resurrected handle is no handle any more
  return 0;
}

int handle_tostring(lua_State* L) {
  const SharedHandle* handle = to_shared(L, 1);
  const std::string text = !handle ? std::string("handle")
                           : !handle->object
                               ? fmt::format("{} (freed)", handle->type_name)
                               : fmt::format("{}: {}", handle->type_name, handle->object.get());
  lua_pushlstring(L, text.data(), text.size());
  return 1;
}

int handle_equal(lua_State* L) {
  const SharedHandle *a = to_shared(L, 1), *b = to_shared(L, 2);
  lua_pushboolean(L, a && b && a->object == b->object && a->object);
  return 1;
}

// The metatable of a type is made by its binding; a worker state may not have opened that yet.
void get_metatable(lua_State* L, const char* type_name) {
  luaL_getmetatable(L, type_name);
  for (const char* const* binding = kBindings; lua_isnil(L, -1) && *binding; ++binding) {
    lua_pop(L, 1);
    lua_getglobal(L, "require");
    lua_pushstring(L, *binding);
    lua_call(L, 1, 0);
    luaL_getmetatable(L, type_name);
  }
  LM_CHECK(!lua_isnil(L, -1), ErrorCode::internal, "{}: no binding defines this type", type_name);
}

}  // namespace

void new_shared_type(lua_State* L, const char* type_name, const luaL_Reg* methods,
                     const luaL_Reg* metamethods) {
  constexpr luaL_Reg kDefaults[] = {{"__gc", collect},
                                    {"__tostring", handle_tostring},
                                    {"__eq", handle_equal},
                                    {nullptr, nullptr}};
  luaL_newmetatable(L, type_name);
  luaL_register(L, nullptr, kDefaults);
  if (metamethods) luaL_register(L, nullptr, metamethods);
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, kMark);
  lua_pushstring(L, type_name);
  lua_setfield(L, -2, "__name");
  lua_newtable(L);
  luaL_register(L, nullptr, methods);
  lua_setfield(L, -2, "__index");
}

void push_shared_object(lua_State* L, const char* type_name, std::shared_ptr<void> object,
                        size_t bytes) {
  get_metatable(L, type_name);
  void* memory = lua_newuserdata(L, sizeof(SharedHandle));
  new (memory) SharedHandle{type_name, std::move(object), {}};
  lua_pushvalue(L, -2);
  lua_setmetatable(L, -2);
  lua_remove(L, -2);
  if (bytes == 0) return;
  static_cast<SharedHandle*>(memory)->bytes = ExternalBytes(type_name, bytes);
  collect_if_needed(L);
}

SharedHandle* to_shared(lua_State* L, int index) {
  void* memory = lua_touserdata(L, index);
  if (lua_type(L, index) != LUA_TUSERDATA || !memory || !lua_getmetatable(L, index)) return nullptr;
  lua_pushstring(L, kMark);
  lua_rawget(L, -2);
  const bool ours = lua_toboolean(L, -1) != 0;
  lua_pop(L, 2);
  return ours ? static_cast<SharedHandle*>(memory) : nullptr;
}

std::shared_ptr<void> check_shared_object(lua_State* L, int index, const char* type_name) {
  const SharedHandle* handle = to_shared(L, index);
  if (!handle || std::strcmp(handle->type_name, type_name) != 0)
    raise(ErrorCode::bad_option, "argument {}: expected a {}, got {}", index, type_name,
          handle ? handle->type_name : luaL_typename(L, index));
  LM_CHECK(handle->object, ErrorCode::bad_option, "argument {}: this {} was freed", index,
           type_name);
  return handle->object;
}

int free_shared(lua_State* L) {
  SharedHandle* handle = to_shared(L, 1);
  LM_CHECK(handle, ErrorCode::bad_option, "free: expected an engine object, got {}",
           luaL_typename(L, 1));
  handle->object.reset();
  handle->bytes.reset();
  return 0;
}

}  // namespace lm
