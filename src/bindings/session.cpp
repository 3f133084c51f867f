#include "bindings/session.h"

#include <lua.hpp>

#include "bindings/error_table.h"
#include "engine/core/interrupt.h"
#include "runtime/console.h"
#include "runtime/interrupt.h"
#include "runtime/log.h"

namespace lm {
namespace {

// Plain Lua, for a standard library that cannot be loaded (a broken LMFAST_LUA_PATH).
constexpr char kPlainSession[] = R"lua(
local M = {}
local function compile(text, name)
  local chunk = loadstring("return " .. text, name)
  if chunk then return chunk end
  return loadstring(text, name)
end
local function report(e)
  io.stderr:write("error: " .. tostring(e) .. "\n")
end
local function outcome(ok, ...)
  if not ok then report((...)) return false end
  if select("#", ...) > 0 then print(...) end
  return true
end
function M.is_complete(text)
  local _, message = compile(text, "=(repl)")
  return not (message and message:find("near '<eof>'$"))
end
function M.run(text)
  local chunk, message = compile(text, "=(repl)")
  if not chunk then report(message) return false end
  jit.off(chunk, true)
  return outcome(pcall(chunk))
end
function M.complete(_, cursor) return { from = cursor, items = {} } end
function M.hint() end
function M.banner() return "" end
function M.leave() end
function M.script(source, name, args)
  arg = args
  local chunk, message = loadstring(source:gsub("^#[^\n]*", ""), name)
  if not chunk then report(message) return 1 end
  local ok, e = pcall(chunk, unpack(args))
  if not ok then report(e) end
  return ok and 0 or type(e) == "table" and e.code == "interrupted" and 130 or 1
end
return M
)lua";

constexpr const char* kRegistryKey = "lm.session";

std::string pop_string(lua_State* L) {
  size_t size = 0;
  const char* text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : nullptr;
  std::string value(text ? text : "", size);
  lua_pop(L, 1);
  return value;
}

std::string string_field(lua_State* L, const char* name) {
  lua_getfield(L, -1, name);
  return pop_string(L);
}

int load_session(lua_State* L) {
  lua_getglobal(L, "require");
  lua_pushstring(L, "lm.session");
  lua_call(L, 1, 1);
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_setfield(L, LUA_REGISTRYINDEX, kRegistryKey);
  return 0;
}

int load_plain_session(lua_State* L) {
  if (luaL_loadbuffer(L, kPlainSession, sizeof kPlainSession - 1, "@lua/stdlib/lm/session.lua") !=
      0)
    return lua_error(L);
  lua_call(L, 0, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, kRegistryKey);
  return 0;
}

}  // namespace

Session::Session(lua_State* L) : L_(L) {
  lua_settop(L_, 0);
  if (lua_cpcall(L_, load_session, nullptr) == 0) return;
  const Error error = to_error(L_, -1);
  lua_pop(L_, 1);
  log(LogLevel::warn, "the standard library cannot be loaded, so this is plain Lua: " +
                          error.message().substr(0, error.message().find('\n')));
  if (lua_cpcall(L_, load_plain_session, nullptr) != 0) lua_pop(L_, 1);
}

bool Session::push_function(const char* name) {
  lua_settop(L_, 0);
  lua_getfield(L_, LUA_REGISTRYINDEX, kRegistryKey);
  if (lua_istable(L_, -1)) {
    lua_pushstring(L_, name);
    lua_rawget(L_, -2);
    if (lua_isfunction(L_, -1)) return true;
  }
  lua_settop(L_, 0);
  return false;
}

// An interrupt may hit the module itself, after it caught the user's error: that ends here,
// quietly.
bool Session::call(int n_arguments, int n_results, const char* name) {
  if (lua_pcall(L_, n_arguments, n_results, 0) == 0) return true;
  report(name);
  lua_settop(L_, 0);
  return false;
}

void Session::report(const char* what) {
  const Error error = to_error(L_, -1);
  clear_interrupt();
  const std::string place = error.where().empty() ? "" : error.where() + ": ";
  if (error.code() == ErrorCode::interrupted)
    console().write_err("interrupted\n");
  else
    console().write_err("error: " + std::string(what) + ": " + place + error.message() + "\n");
}

void Session::push_strings(const std::vector<std::string>& values) {
  lua_createtable(L_, static_cast<int>(values.size()), 1);
  for (size_t i = 0; i < values.size(); ++i) {
    lua_pushlstring(L_, values[i].data(), values[i].size());
    lua_rawseti(L_, -2, static_cast<int>(i + 1));
  }
}

bool Session::is_complete(const std::string& text) {
  if (!push_function("is_complete")) return true;
  lua_pushlstring(L_, text.data(), text.size());
  if (!call(1, 1, "is_complete")) return true;
  const bool complete = lua_toboolean(L_, -1) != 0;
  lua_settop(L_, 0);
  return complete;
}

bool Session::run(const std::string& text) {
  if (!push_function("run")) return false;
  lua_pushlstring(L_, text.data(), text.size());
  if (!call(1, 1, "run")) return false;
  const bool ok = lua_toboolean(L_, -1) != 0;
  lua_settop(L_, 0);
  return ok;
}

Completion Session::complete(const std::string& text, size_t cursor, bool full) {
  Completion result;
  result.from = cursor;
  if (!push_function("complete")) return result;
  lua_pushlstring(L_, text.data(), text.size());
  lua_pushnumber(L_, static_cast<double>(cursor));
  lua_pushboolean(L_, full);
  if (!call(3, 1, "complete") || !lua_istable(L_, -1)) return result;
  lua_getfield(L_, -1, "from");
  const double from = lua_tonumber(L_, -1);
  lua_pop(L_, 1);
  if (from >= 0 && from <= static_cast<double>(cursor)) result.from = static_cast<size_t>(from);
  lua_getfield(L_, -1, "items");
  const int n = lua_istable(L_, -1) ? static_cast<int>(lua_objlen(L_, -1)) : 0;
  for (int i = 1; i <= n; ++i) {
    lua_rawgeti(L_, -1, i);
    if (lua_istable(L_, -1)) {
      MenuItem item{string_field(L_, "text"), string_field(L_, "label"), string_field(L_, "doc")};
      if (item.label.empty()) item.label = item.text;
      result.items.push_back(std::move(item));
    }
    lua_pop(L_, 1);
  }
  lua_settop(L_, 0);
  return result;
}

std::string Session::hint(const std::string& text, size_t cursor) {
  if (!push_function("hint")) return {};
  lua_pushlstring(L_, text.data(), text.size());
  lua_pushnumber(L_, static_cast<double>(cursor));
  if (!call(2, 1, "hint")) return {};
  return pop_string(L_);
}

int Session::script(const std::string& source, const std::string& chunk_name,
                    const std::vector<std::string>& arguments) {
  if (!push_function("script")) return 1;
  lua_pushlstring(L_, source.data(), source.size());
  lua_pushlstring(L_, chunk_name.data(), chunk_name.size());
  push_strings(arguments);
  const std::string zero =
      chunk_name.empty() ? "" : chunk_name.substr(1);  // arg[0]: the script's name
  lua_pushlstring(L_, zero.data(), zero.size());
  lua_rawseti(L_, -2, 0);
  const bool interrupted_before = g_interrupt_count.load() > 0;
  const bool ok = call(3, 1, "script");
  const bool interrupted = g_interrupt_count.load() > 0 && !interrupted_before;
  if (!ok) return interrupted ? 130 : 1;
  const int code = lua_isnumber(L_, -1) ? static_cast<int>(lua_tointeger(L_, -1)) : 0;
  lua_settop(L_, 0);
  return interrupted ? 130 : code;
}

std::string Session::banner() {
  if (!push_function("banner")) return {};
  lua_newtable(L_);
  if (!call(1, 1, "banner")) return {};
  return pop_string(L_);
}

std::optional<std::string> Session::leave() {
  if (!push_function("leave") || !call(0, 1, "leave")) return std::nullopt;
  if (!lua_isstring(L_, -1)) return std::nullopt;
  return pop_string(L_);
}

int Session::call_main(const std::string& module, const std::string& function,
                       const std::optional<std::string>& first,
                       const std::vector<std::string>& arguments) {
  lua_settop(L_, 0);
  lua_getglobal(L_, "require");
  lua_pushlstring(L_, module.data(), module.size());
  if (!call(1, 1, module.c_str())) return 1;
  if (lua_istable(L_, -1)) lua_getfield(L_, -1, function.c_str());
  if (!lua_isfunction(L_, -1)) {
    console().write_err("error: module " + module + " has no function " + function + "\n");
    return 1;
  }
  if (first) lua_pushlstring(L_, first->data(), first->size());
  push_strings(arguments);
  const bool ok = call(first ? 2 : 1, 1, module.c_str());
  const bool interrupted = g_interrupt_count.load() > 0;
  int code = ok ? 0 : 1;
  if (ok && lua_isnumber(L_, -1)) code = static_cast<int>(lua_tointeger(L_, -1));
  if (ok && lua_isboolean(L_, -1)) code = lua_toboolean(L_, -1) ? 0 : 1;
  lua_settop(L_, 0);
  return interrupted ? 130 : code;
}

}  // namespace lm
