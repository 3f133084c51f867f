#include <doctest/doctest.h>

#include <lua.hpp>
#include <stdexcept>

#include "bindings/error_table.h"
#include "bindings/external_bytes.h"
#include "bindings/shared_handle.h"
#include "bindings/value_copy.h"
#include "runtime/lua_state.h"

namespace {

int throw_error(lua_State*) {
  throw lm::Error(lm::ErrorCode::bad_shape, "rows differ", "transpose one", "a.bin");
}
int throw_standard(lua_State*) {
  throw std::runtime_error("standard");
}

struct Box {
  int value;
};
constexpr luaL_Reg kBoxMethods[] = {{"free", lm::free_shared}, {nullptr, nullptr}};

// Runs Lua code; its error as text, or "".
std::string run(lua_State* L, const char* code) {
  if (luaL_dostring(L, code) == 0) return {};
  std::string message = lm::to_error(L, -1).message();
  lua_pop(L, 1);
  return message;
}

}  // namespace

TEST_CASE("guard: C++ exceptions are error tables in Lua, also in compiled loops") {
  const lm::LuaState state(lm::LuaState::Kind::worker);
  lua_State* L = state.get();
  lua_pushcfunction(L, throw_error);
  lua_setglobal(L, "throw_error");
  lua_pushcfunction(L, throw_standard);
  lua_setglobal(L, "throw_standard");
  CHECK(run(L, R"(
    for i = 1, 5000 do
      local ok, e = pcall(throw_error)
      assert(not ok and e.code == "bad_shape" and e.message == "rows differ" and e.hint == "transpose one")
      assert(tostring(e) == "a.bin: rows differ\n  hint: transpose one")
      ok, e = pcall(throw_standard)
      assert(e.code == "internal" and e.message == "standard")
    end)") == "");
}

TEST_CASE("values: copies keep structure, share handles, refuse the rest") {
  const lm::LuaState one(lm::LuaState::Kind::worker), two(lm::LuaState::Kind::worker);
  for (lua_State* L : {one.get(), two.get()}) {
    lm::new_shared_type(L, "test.Box", kBoxMethods);
    lua_pop(L, 1);
  }
  auto box = std::make_shared<Box>(Box{7});
  lua_newtable(one.get());
  lm::push_shared(one.get(), "test.Box", box);
  lua_setfield(one.get(), -2, "box");
  lua_pushnumber(one.get(), 3);
  lua_rawseti(one.get(), -2, 1);
  lm::push_value(two.get(), lm::copy_value(one.get(), -1, "x"));
  lua_getfield(two.get(), -1, "box");
  CHECK(lm::check_shared<Box>(two.get(), -1, "test.Box")->value == 7);
  CHECK(box.use_count() == 3);
  lua_setglobal(two.get(), "box");
  CHECK(run(two.get(), "box:free() box:free()") == "");
  CHECK(box.use_count() == 2);
  lua_getglobal(two.get(), "box");
  CHECK_THROWS_WITH_AS(lm::check_shared<Box>(two.get(), -1, "test.Box"), doctest::Contains("freed"),
                       lm::Error);
  lua_pushnumber(two.get(), 1);
  CHECK_THROWS_WITH_AS(lm::check_shared<Box>(two.get(), -1, "test.Box"),
                       doctest::Contains("expected a test.Box"), lm::Error);
  luaL_dostring(one.get(), "local t = {a = {}} t.a.b = t return t");
  CHECK_THROWS_WITH_AS(lm::copy_value(one.get(), -1, "x"),
                       doctest::Contains("x.a.b: the table contains itself"), lm::Error);
  luaL_dostring(one.get(), "return {f = print}");
  CHECK_THROWS_WITH_AS(lm::copy_value(one.get(), -1, "x"), doctest::Contains("x.f: a function"),
                       lm::Error);
}

TEST_CASE("external bytes: dropped owners are collected before memory runs away") {
  const lm::LuaState state(lm::LuaState::Kind::worker);
  lua_State* L = state.get();
  lm::new_shared_type(L, "test.Box", kBoxMethods);
  lua_pop(L, 1);
  size_t peak = 0;
  for (int i = 0; i < 400; ++i) {
    lm::push_shared(L, "test.Box", std::make_shared<Box>(), size_t{16} << 20);
    lua_pop(L, 1);
    for (const lm::HandleStats& row : lm::handle_stats())
      if (row.type == "test.Box") peak = std::max(peak, row.bytes);
  }
  CHECK(peak <= size_t{288} << 20);
  int calls = 0;
  const auto allocate = [&calls] {
    if (++calls == 1) throw lm::Error(lm::ErrorCode::out_of_memory, "full");
    return calls;
  };
  CHECK(lm::allocate_or_collect(L, allocate) == 2);
}
