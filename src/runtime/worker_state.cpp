// Jobs in Lua: a state of its own for each, on the job's thread. Values go in and out as copies.
#include <lua.hpp>

#include "bindings/error_table.h"
#include "bindings/value_copy.h"
#include "runtime/jobs.h"
#include "runtime/lua_state.h"

namespace lm {
namespace {

struct Call {
  const JobSpec& spec;
  std::vector<Value> results;
};

// Pushes what the job is to run. Typed source runs without the JIT compiler: compiled loops never
// look at the stop flag. Library functions stay compiled; their loops call into C.
void push_work(lua_State* L, const JobSpec& spec) {
  if (spec.module.empty()) {
    const std::string name = "=" + spec.name;
    if (luaL_loadbuffer(L, spec.source.data(), spec.source.size(), name.c_str()) != 0) lua_error(L);
    luaJIT_setmode(L, -1, LUAJIT_MODE_ALLFUNC | LUAJIT_MODE_OFF);
    return;
  }
  lua_getglobal(L, "require");
  lua_pushlstring(L, spec.module.data(), spec.module.size());
  lua_call(L, 1, 1);
  lua_getfield(L, -1, spec.function.c_str());
  lua_remove(L, -2);
  LM_CHECK(lua_isfunction(L, -1), ErrorCode::bad_option, "job: module {} has no function {}",
           spec.module, spec.function);
}

int run_call(lua_State* L) {
  auto& call = *static_cast<Call*>(lua_touserdata(L, 1));
  lua_settop(L, 0);
  // The names of the library are known to source text, as at the prompt.
  lua_getglobal(L, "require");
  lua_pushliteral(L, "lm");
  if (lua_pcall(L, 1, 1, 0) == 0)
    lua_setglobal(L, "lm");
  else
    lua_pop(L, 1);
  push_work(L, call.spec);
  luaL_checkstack(L, static_cast<int>(call.spec.arguments.size()) + 4, "arguments of a job");
  for (const Value& argument : call.spec.arguments) push_value(L, argument);
  lua_call(L, static_cast<int>(call.spec.arguments.size()), LUA_MULTRET);
  for (int i = 1; i <= lua_gettop(L); ++i)
    call.results.push_back(copy_value(L, i, "result " + std::to_string(i)));
  return 0;
}

}  // namespace

std::vector<Value> run_in_worker_state(JobContext&, const JobSpec& spec) {
  const LuaState state(LuaState::Kind::worker);
  Call call{spec, {}};
  if (lua_cpcall(state.get(), run_call, &call) != 0) throw to_error(state.get(), -1);
  return std::move(call.results);
}

Jobs& main_jobs() {
  static Jobs instance(run_in_worker_state);
  return instance;
}

}  // namespace lm
