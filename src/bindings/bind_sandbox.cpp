// The Lua module lm.engine.sandbox: states for code that nobody vouches for (lua_sandbox.h).
#include <lua.hpp>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/error_table.h"
#include "bindings/lua_sandbox.h"
#include "bindings/value_copy.h"

namespace lm {
namespace {

constexpr const char* kSandbox = "lm.Sandbox";

// new({memory, instructions, seconds, output}, names, outside(name, ...) -> ...) -> sandbox
int make(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  SandboxLimits limits;
  limits.memory_bytes =
      static_cast<size_t>(number_field(L, 1, "memory", static_cast<double>(limits.memory_bytes)));
  limits.instructions = static_cast<int64_t>(
      number_field(L, 1, "instructions", static_cast<double>(limits.instructions)));
  limits.seconds = number_field(L, 1, "seconds", limits.seconds);
  limits.output_bytes =
      static_cast<size_t>(number_field(L, 1, "output", static_cast<double>(limits.output_bytes)));
  std::vector<std::string> names;
  for (int i = 1; i <= static_cast<int>(lua_objlen(L, 2)); ++i) {
    lua_rawgeti(L, 2, i);
    names.push_back(string_at(L, -1));
    lua_pop(L, 1);
  }
  lua_pushvalue(L, 3);
  const int ref = luaL_ref(L, LUA_REGISTRYINDEX);  // lives as long as the state
  auto outside = [L, ref](const std::string& name, const std::vector<Value>& arguments) {
    const int top = lua_gettop(L);
    luaL_checkstack(L, static_cast<int>(arguments.size()) + 8, "arguments");
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    push_string(L, name);
    for (const Value& value : arguments) push_value(L, value);
    try {
      protected_call(L, static_cast<int>(arguments.size()) + 1, LUA_MULTRET);
      std::vector<Value> results;
      for (int i = top + 1; i <= lua_gettop(L); ++i) results.push_back(copy_value(L, i, "result"));
      lua_settop(L, top);
      return results;
    } catch (const Error&) {
      lua_settop(L, top);
      throw;
    }
  };
  push_shared(L, kSandbox, std::make_shared<LuaSandbox>(limits, names, std::move(outside)));
  return 1;
}

// run(sandbox, source) -> {ok, output, error, limit, results, n}
int run(lua_State* L) {
  const auto sandbox = check_shared<LuaSandbox>(L, 1, kSandbox);
  const SandboxOutcome outcome = sandbox->run(string_at(L, 2));
  lua_newtable(L);
  set_field(L, "ok", outcome.ok);
  set_field(L, "output", outcome.output);
  if (!outcome.ok) set_field(L, "error", outcome.error);
  if (!outcome.limit.empty()) set_field(L, "limit", outcome.limit);
  lua_newtable(L);
  for (size_t i = 0; i < outcome.results.size(); ++i) {
    push_value(L, outcome.results[i]);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  lua_setfield(L, -2, "results");
  set_field(L, "n", static_cast<int64_t>(outcome.results.size()));
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_sandbox(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kNone[] = {{nullptr, nullptr}};
  new_shared_type(L, kSandbox, kNone);
  lua_pop(L, 1);
  constexpr luaL_Reg kFunctions[] = {{"new", make}, {"run", run}, {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
