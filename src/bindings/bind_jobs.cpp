// The job functions of lm.host.
#include <algorithm>
#include <string>

#include "bindings/bind_host.h"
#include "bindings/error_table.h"
#include "bindings/value_copy.h"
#include "engine/core/error.h"
#include "runtime/console.h"
#include "runtime/jobs.h"

namespace lm {
namespace {

void push_text(lua_State* L, const std::string& text) {
  lua_pushlstring(L, text.data(), text.size());
}

std::string text_field(lua_State* L, const char* name) {
  lua_getfield(L, 1, name);
  size_t size = 0;
  const char* text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : nullptr;
  std::string value(text ? text : "", size);
  lua_pop(L, 1);
  return value;
}

// {n = 3, ...} keeps nils at the end.
int argument_count(lua_State* L, int index) {
  lua_getfield(L, index, "n");
  const int n = lua_isnumber(L, -1) ? static_cast<int>(lua_tointeger(L, -1))
                                    : static_cast<int>(lua_objlen(L, index));
  lua_pop(L, 1);
  return std::clamp(n, 0, 200);
}

int job_spawn(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  JobSpec spec{text_field(L, "name"),
               text_field(L, "module"),
               text_field(L, "fn"),
               text_field(L, "source"),
               {}};
  LM_CHECK(spec.module.empty() != spec.source.empty(), ErrorCode::bad_option,
           "job_spawn: expected either module and fn, or source");
  if (spec.name.empty())
    spec.name = spec.module.empty() ? "job" : spec.module + "." + spec.function;
  lua_getfield(L, 1, "args");
  if (lua_istable(L, -1)) {
    const int index = lua_gettop(L);
    for (int i = 1, n = argument_count(L, index); i <= n; ++i) {
      lua_rawgeti(L, index, i);
      spec.arguments.push_back(copy_value(L, -1, "argument " + std::to_string(i)));
      lua_pop(L, 1);
    }
  }
  lua_pushinteger(L, main_jobs().spawn(std::move(spec)));
  return 1;
}

void push_info(lua_State* L, const JobInfo& info) {
  lua_createtable(L, 0, 8);
  const auto set_text = [&](const char* name, const std::string& text) {
    push_text(L, text);
    lua_setfield(L, -2, name);
  };
  const auto set_number = [&](const char* name, double value) {
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
  };
  set_number("id", info.id);
  set_text("name", info.name);
  set_text("state", job_state_name(info.state));
  set_text("message", info.message);
  set_number("elapsed_s", info.elapsed_s);
  if (info.progress) set_number("progress", *info.progress);
  if (info.eta_s) set_number("eta_s", *info.eta_s);
  if (info.error) set_text("error", info.error->message());
}

int check_id(lua_State* L) {
  return static_cast<int>(luaL_checkinteger(L, 1));
}

int job_info(lua_State* L) {
  const auto info = main_jobs().info(check_id(L));
  if (info)
    push_info(L, *info);
  else
    lua_pushnil(L);
  return 1;
}

int job_list(lua_State* L) {
  const std::vector<JobInfo> jobs = main_jobs().list();
  lua_createtable(L, static_cast<int>(jobs.size()), 0);
  for (size_t i = 0; i < jobs.size(); ++i) {
    push_info(L, jobs[i]);
    lua_rawseti(L, -2, static_cast<int>(i + 1));
  }
  return 1;
}

int job_stop(lua_State* L) {
  lua_pushboolean(L, main_jobs().stop(check_id(L)));
  return 1;
}

int job_wait(lua_State* L) {
  const int id = check_id(L);
  const double seconds = std::clamp(luaL_optnumber(L, 2, 0), 0.0, 1e6);
  const auto state =
      main_jobs().wait(id, std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000)));
  LM_CHECK(state, ErrorCode::not_found, "job_wait: there is no job {}", id);
  push_text(L, job_state_name(*state));
  return 1;
}

int job_result(lua_State* L) {
  const int id = check_id(L);
  const auto info = main_jobs().info(id);
  LM_CHECK(info, ErrorCode::not_found, "job_result: there is no job {}", id);
  if (info->state != JobState::done) {
    lua_pushnil(L);
    push_error(L, info->error
                      ? *info->error
                      : Error(ErrorCode::not_found, fmt::format("job {}: has not ended yet", id)));
    return 2;
  }
  const std::vector<Value> values = main_jobs().result(id);
  luaL_checkstack(L, static_cast<int>(values.size()) + 4, "results of a job");
  for (const Value& value : values) push_value(L, value);
  return static_cast<int>(values.size());
}

// job_progress(fraction, message, eta_s or nil)
int job_progress(lua_State* L) {
  const double fraction = luaL_checknumber(L, 1);
  std::string message = luaL_optstring(L, 2, "");
  std::optional<double> eta_s;
  if (lua_isnumber(L, 3)) eta_s = std::max(0.0, lua_tonumber(L, 3));
  if (JobContext* job = current_job()) {
    job->progress(fraction, message, eta_s);
    return 0;
  }
  if (eta_s) message += "  eta " + clock_text(*eta_s);
  console().set_progress(
      fmt::format("{:3.0f}%  {}", std::clamp(fraction, 0.0, 1.0) * 100, message));
  return 0;
}

}  // namespace

void add_job_functions(lua_State* L) {
  constexpr luaL_Reg kFunctions[] = {{"job_spawn", job_spawn},       {"job_info", job_info},
                                     {"job_list", job_list},         {"job_stop", job_stop},
                                     {"job_wait", job_wait},         {"job_result", job_result},
                                     {"job_progress", job_progress}, {nullptr, nullptr}};
  luaL_register(L, nullptr, kFunctions);
}

}  // namespace lm
