#include "bindings/value_copy.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "bindings/shared_handle.h"
#include "engine/core/error.h"

namespace lm {
namespace {

constexpr size_t kMaxDepth = 100;

class Copier {
 public:
  explicit Copier(lua_State* L) : L_(L) {}

  Value copy(int index, const std::string& path) {
    switch (lua_type(L_, index)) {
      case LUA_TNIL:
        return std::monostate{};
      case LUA_TBOOLEAN:
        return lua_toboolean(L_, index) != 0;
      case LUA_TNUMBER:
        return lua_tonumber(L_, index);
      case LUA_TSTRING: {
        size_t size = 0;
        const char* text = lua_tolstring(L_, index, &size);
        return std::string(text, size);
      }
      case LUA_TTABLE:
        return table(index, path);
      default:
        break;
    }
    if (const SharedHandle* handle = to_shared(L_, index)) {
      LM_CHECK(handle->object, ErrorCode::bad_option, "{}: this {} was freed", path,
               handle->type_name);
      return SharedObject{handle->type_name, handle->object};
    }
    raise(ErrorCode::bad_option,
          "{}: a {} cannot go to another thread; expected plain values or engine objects", path,
          luaL_typename(L_, index));
  }

 private:
  static std::string step(const std::string& path, const Value& key) {
    if (const auto* text = std::get_if<std::string>(&key)) return path + "." + *text;
    if (const auto* number = std::get_if<double>(&key))
      return fmt::format("{}[{:g}]", path, *number);
    return path + "[?]";
  }

  Value table(int index, const std::string& path) {
    const void* identity = lua_topointer(L_, index);
    LM_CHECK(std::find(open_.begin(), open_.end(), identity) == open_.end(), ErrorCode::bad_option,
             "{}: the table contains itself and cannot be copied", path);
    LM_CHECK(open_.size() < kMaxDepth && lua_checkstack(L_, 4), ErrorCode::bad_option,
             "{}: nested more than {} levels deep", path, kMaxDepth);
    open_.push_back(identity);
    auto copied = std::make_shared<ValueTable>();
    lua_pushnil(L_);
    while (lua_next(L_, index)) {
      const int top = lua_gettop(L_);
      Value key = copy(top - 1, path + " (a key)");
      Value value = copy(top, step(path, key));
      copied->entries.emplace_back(std::move(key), std::move(value));
      lua_pop(L_, 1);
    }
    open_.pop_back();
    return std::shared_ptr<const ValueTable>(std::move(copied));
  }

  lua_State* L_;
  std::vector<const void*> open_;  // tables around the current one
};

struct Pusher {
  lua_State* L;

  void operator()(std::monostate) const { lua_pushnil(L); }
  void operator()(bool value) const { lua_pushboolean(L, value); }
  void operator()(double value) const { lua_pushnumber(L, value); }
  void operator()(const std::string& value) const {
    lua_pushlstring(L, value.data(), value.size());
  }
  void operator()(const SharedObject& value) const {
    push_shared_object(L, value.type_name, value.object);
  }
  void operator()(const std::shared_ptr<const ValueTable>& value) const {
    luaL_checkstack(L, 4, "copied value");
    lua_newtable(L);
    for (const auto& [key, item] : value->entries) {
      std::visit(*this, key);
      std::visit(*this, item);
      lua_rawset(L, -3);
    }
  }
};

}  // namespace

Value copy_value(lua_State* L, int index, const std::string& what) {
  if (index < 0) index = lua_gettop(L) + 1 + index;
  return Copier(L).copy(index, what);
}

void push_value(lua_State* L, const Value& value) {
  std::visit(Pusher{L}, value);
}

}  // namespace lm
