#include "runtime/lua_state.h"

#include <atomic>
#include <cstring>
#include <lua.hpp>
#include <string>
#include <string_view>

#include "bindings/bind_host.h"
#include "bindings/error_table.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "runtime/interrupt.h"
#include "runtime/stdlib.h"

#define LM_BIND(name) extern "C" int luaopen_lm_##name(lua_State* L);
#include "bindings/bind_list.inc"
#undef LM_BIND

namespace lm {
namespace {

std::atomic<lua_State*> g_main_state{nullptr};

constexpr int kInterruptMask = LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT;
constexpr int kWorkerPollInstructions = 10000;

// The top level itself must be able to report an interrupt while the hook is still armed: it is the
// one who clears it.
bool is_top_level(const char* source) {
  for (const char* name : {"@lua/stdlib/lm/session.lua", "@lua/stdlib/lm/errors.lua",
                           "@lua/stdlib/lm/sources.lua", "@lua/stdlib/lm/evaluate.lua"})
    if (std::strcmp(source, name) == 0) return true;
  return false;
}

bool inside_top_level(lua_State* L) {
  lua_Debug frame;
  for (int level = 0; lua_getstack(L, level, &frame); ++level) {
    if (!lua_getinfo(L, "S", &frame)) return false;
    if (std::strcmp(frame.what, "C") != 0) return is_top_level(frame.source);
  }
  return false;
}

// Stays armed until clear_interrupt(), so that a pcall in the user's loop cannot swallow the
// interrupt.
void interrupt_hook(lua_State* L, lua_Debug*) {
  if (inside_top_level(L)) return;
  push_error(L, Error(ErrorCode::interrupted, "interrupted"));
  lua_error(L);
}

void worker_hook(lua_State* L, lua_Debug*) {
  if (!interrupt_pending()) return;
  lua_sethook(L, worker_hook, kInterruptMask,
              1);  // from now on: a pcall in a loop cannot swallow the stop
  push_error(L, Error(ErrorCode::interrupted, "interrupted"));
  lua_error(L);
}

void arm() {
  if (lua_State* L = g_main_state.load()) lua_sethook(L, interrupt_hook, kInterruptMask, 1);
}
void disarm() {
  if (lua_State* L = g_main_state.load()) lua_sethook(L, nullptr, 0, 0);
}

int load_stdlib(lua_State* L) {
  size_t size = 0;
  const char* name = luaL_checklstring(L, 1, &size);
  const std::string_view module(name, size);
  if (module == "lmfast") {  // the name for scripts; the same table as "lm"
    if (luaL_loadstring(L, "return require('lm')") != 0) return lua_error(L);
    return 1;
  }
  int status = 0;
  {
    const auto file = find_stdlib(module);
    if (!file) {
      lua_pushfstring(L, "\n\tno module '%s' in lmfast's standard library", name);
      return 1;
    }
    status = luaL_loadbuffer(L, file->text.data(), file->text.size(), file->chunk_name.c_str());
  }
  return status == 0 ? 1 : lua_error(L);
}

void preload(lua_State* L, const char* name, lua_CFunction open) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, open);
  lua_setfield(L, -2, name);
  lua_pop(L, 2);
}

// Puts our loader right after package.preload: files in the current folder cannot shadow the
// standard library.
void add_loader(lua_State* L) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "loaders");
  for (int i = static_cast<int>(lua_objlen(L, -1)); i >= 2; --i) {
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushcfunction(L, load_stdlib);
  lua_rawseti(L, -2, 2);
  lua_pop(L, 2);
}

// Output of Lua's own library goes through the console. Files keep their methods.
constexpr char kOutputSetup[] = R"lua(
local host = ...
local tostring, select, type, error = tostring, select, type, error
local stdout, stderr, write = io.stdout, io.stderr, host.write
local methods = getmetatable(stdout).__index
local file_write, file_flush, io_output = methods.write, methods.flush, io.output

local function send(sink, ...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if type(value) ~= "string" and type(value) ~= "number" then
      error(("bad argument #%d to 'write' (string expected, got %s)"):format(i, type(value)), 3)
    end
    sink(value)
  end
end

function print(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
  write(table.concat(parts, "\t") .. "\n")
end

function methods.write(file, ...)
  if file == stdout then send(write, ...)
  elseif file == stderr then send(host.write_err, ...)
  else return file_write(file, ...) end
  return file
end
function methods.flush(file)
  if file == stdout then host.flush() return true end
  return file_flush(file)
end
function io.write(...)
  local file = io_output()
  if file ~= stdout then return file_write(file, ...) end
  send(write, ...)
  return file
end
function io.flush() return io_output():flush() end
os.exit = host.exit
)lua";

int set_up(lua_State* L) {
  luaL_openlibs(L);
  add_loader(L);
  preload(L, "lm.host", open_host);
#define LM_BIND(name) preload(L, "lm.engine." #name, luaopen_lm_##name);
#include "bindings/bind_list.inc"
#undef LM_BIND
  if (luaL_loadbuffer(L, kOutputSetup, sizeof kOutputSetup - 1, "=(lmfast)") != 0)
    return lua_error(L);
  lua_getglobal(L, "require");
  lua_pushstring(L, "lm.host");
  lua_call(L, 1, 1);
  lua_call(L, 1, 0);
  return 0;
}

}  // namespace

LuaState::LuaState(Kind kind) : state_(luaL_newstate()), kind_(kind) {
  LM_CHECK(state_, ErrorCode::out_of_memory, "Lua: no memory for a new state");
  install_guard(state_);
  if (lua_cpcall(
          state_, [](lua_State* L) { return set_up(L); }, nullptr) != 0) {
    const Error error = to_error(state_, -1);
    lua_close(state_);
    throw error;
  }
  if (kind_ == Kind::worker) {
    lua_sethook(state_, worker_hook, LUA_MASKCOUNT, kWorkerPollInstructions);
    return;
  }
  g_main_state.store(state_);
  set_interrupt_disarm(disarm);
  set_interrupt_action(arm);
}

LuaState::~LuaState() {
  if (kind_ == Kind::main) {
    set_interrupt_action(nullptr);
    set_interrupt_disarm(nullptr);
    g_main_state.store(nullptr);
  }
  lua_close(state_);
}

}  // namespace lm
