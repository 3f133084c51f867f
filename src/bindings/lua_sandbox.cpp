#include "bindings/lua_sandbox.h"

#include <chrono>
#include <cstdlib>
#include <cstring>

#include "bindings/error_table.h"
#include "bindings/value_copy.h"
#include "engine/core/error.h"

namespace lm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLook = 1000;  // instructions between two looks at the limits

// The environment in Lua: what is taken over, and bounds on what no hook can interrupt. Matching a
// pattern takes at most about size^quantifiers steps, so that is what is bounded.
constexpr const char* kPrelude = R"lua(
local outside, names, write = ...
local type, tostring, error, select, pairs, string_sub = type, tostring, error, select, pairs, string.sub
local setmetatable, getmetatable, loadstring, setfenv, pcall = setmetatable, getmetatable, loadstring, setfenv, pcall
local find, match, gmatch, gsub, rep, concat = string.find, string.match, string.gmatch, string.gsub, string.rep, table.concat

local function check_pattern(s, p)
  if type(s) == "number" then s = tostring(s) end
  if type(s) ~= "string" or type(p) ~= "string" then return end
  local _, n = gsub(p, "[%*%+%-%?]", "")
  local _, b = gsub(p, "%%b", "")
  local cost = (#s + 1) ^ (n + b > 0 and n + b or 1)
  if #p > 1000 or cost > 2e9 then error("this pattern could take too long on a text of this size", 3) end
end

local env = {
  assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs, pcall = pcall, rawequal = rawequal,
  rawget = rawget, rawset = rawset, rawlen = rawlen, select = select, tonumber = tonumber, tostring = tostring,
  type = type, unpack = unpack, _VERSION = _VERSION, setmetatable = setmetatable,
  getmetatable = getmetatable,
}
-- The real one calls the handler while hooks are off, so that a handler could go on for ever.
local function handle(handler, ok, ...)
  if ok then return true, ... end
  return false, handler((...))
end
function env.xpcall(f, handler, ...) return handle(handler, pcall(f, ...)) end
local function copy(from, list)
  local to = {}
  for name in gmatch(list, "%S+") do to[name] = from[name] end
  return to
end
env.math = copy(math, "abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min modf pi pow rad random randomseed sin sinh sqrt tan tanh")
env.table = copy(table, "concat insert remove sort maxn")
env.table.unpack = unpack
env.coroutine = copy(coroutine, "create resume running status wrap yield")
env.bit = copy(bit, "arshift band bnot bor bswap bxor lshift rol ror rshift tobit tohex")
env.string = copy(string, "byte char format len lower reverse sub upper")
env.os = { time = os.time, clock = os.clock, date = function(format, time)
  if type(format) == "string" and #format > 100 then error("the format is too long", 2) end
  return os.date(format, time)
end, difftime = os.difftime }
env.os = copy(env.os, "time clock date difftime")
function env.string.rep(s, n)
  if type(n) == "number" and #tostring(s) * n > 16777216 then error("the text would be too long", 2) end
  return rep(s, n)
end
function env.string.find(s, p, init, plain)
  if not plain then check_pattern(s, p) end
  return find(s, p, init, plain)
end
function env.string.match(s, p, init) check_pattern(s, p) return match(s, p, init) end
function env.string.gmatch(s, p) check_pattern(s, p) return gmatch(s, p) end
function env.string.gsub(s, p, r, n) check_pattern(s, p) return gsub(s, p, r, n) end
function env.load(text, name)
  if type(text) ~= "string" then error("load takes a text here", 2) end
  if string_sub(text, 1, 1) == "\27" then return nil, "bytecode is not accepted" end
  local f, message = loadstring(text, type(name) == "string" and name or "=load")
  if not f then return nil, message end
  return setfenv(f, env)
end
env.loadstring = env.load
function env.print(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
  write(concat(parts, "\t") .. "\n")
end
for _, name in pairs(names) do
  env[name] = function(...) return outside(name, ...) end
end
env._G = env
-- The methods of strings are the bounded ones, and nobody gets at the table that says so.
local strings = getmetatable("")
strings.__index = env.string
strings.__metatable = "locked"
return env
)lua";

}  // namespace

struct LuaSandbox::Impl {
  SandboxLimits limits;
  Outside outside;
  lua_State* L = nullptr;
  size_t used = 0;
  int64_t instructions = 0;
  Clock::time_point deadline;
  std::string output, limit;
  bool running = false;

  ~Impl() {
    if (L == nullptr) return;
    lua_sethook(L, nullptr, 0, 0);
    running = false;
    lua_close(L);
  }

  static Impl& of(lua_State* L) {
    lua_getfield(L, LUA_REGISTRYINDEX, "sandbox");
    auto* impl = static_cast<Impl*>(lua_touserdata(L, -1));
    lua_pop(L, 1);
    return *impl;
  }

  static void* allocate(void* self, void* old, size_t old_size, size_t size) {
    auto& impl = *static_cast<Impl*>(self);
    if (old == nullptr) old_size = 0;
    if (size == 0) {
      std::free(old);
      impl.used -= old_size;
      return nullptr;
    }
    if (impl.running && size > old_size && impl.used - old_size + size > impl.limits.memory_bytes) {
      impl.limit = "memory";
      return nullptr;
    }
    void* made = std::realloc(old, size);
    if (made != nullptr) impl.used = impl.used - old_size + size;
    return made;
  }

  // Once a limit is exceeded every instruction raises it again.
  static void hook(lua_State* L, lua_Debug*) {
    Impl& impl = of(L);
    if (!impl.running) return;
    impl.instructions += kLook;
    if (impl.limit.empty() || impl.limit == "memory") {
      if (impl.instructions > impl.limits.instructions)
        impl.limit = "instructions";
      else if (Clock::now() > impl.deadline)
        impl.limit = "seconds";
      else
        return;
      lua_sethook(L, hook, LUA_MASKCOUNT, 1);
    }
    lua_pushstring(L, ("the limit on " + impl.limit + " is exceeded").c_str());
    lua_error(L);
  }

  static int write(lua_State* L) {
    Impl& impl = of(L);
    size_t size = 0;
    const char* text = luaL_checklstring(L, 1, &size);
    const size_t room =
        impl.limits.output_bytes - std::min(impl.output.size(), impl.limits.output_bytes);
    impl.output.append(text, std::min(size, room));
    return 0;
  }

  // outside(name, ...)
  static int call_outside(lua_State* L) {
    Impl& impl = of(L);
    std::string message;
    {
      const auto start = Clock::now();
      std::vector<Value> results;
      try {
        std::vector<Value> arguments;
        const int n = lua_gettop(L);
        for (int i = 2; i <= n; ++i)
          arguments.push_back(copy_value(L, i, "argument " + std::to_string(i - 1)));
        results = impl.outside(lua_tostring(L, 1), arguments);
      } catch (const Error& e) {
        message = e.message().empty() ? "the call failed" : e.message();
      }
      impl.deadline += Clock::now() - start;
      if (message.empty()) {
        luaL_checkstack(L, static_cast<int>(results.size()) + 4, "results");
        for (const Value& value : results) push_value(L, value);
        return static_cast<int>(results.size());
      }
      lua_pushlstring(L, message.data(), message.size());
    }
    return lua_error(L);
  }

  static int set_up(lua_State* L) {
    auto* names = static_cast<const std::vector<std::string>*>(lua_touserdata(L, 1));
    for (const auto& [name, open] : {std::pair<const char*, lua_CFunction>{"", luaopen_base},
                                     {LUA_TABLIBNAME, luaopen_table},
                                     {LUA_STRLIBNAME, luaopen_string},
                                     {LUA_MATHLIBNAME, luaopen_math},
                                     {LUA_OSLIBNAME, luaopen_os},
                                     {LUA_BITLIBNAME, luaopen_bit}}) {
      lua_pushcfunction(L, open);
      lua_pushstring(L, name);
      lua_call(L, 1, 0);
    }
    LM_CHECK(luaL_loadbuffer(L, kPrelude, std::strlen(kPrelude), "=sandbox") == 0,
             ErrorCode::internal, "sandbox: {}", lua_tostring(L, -1));
    lua_pushcfunction(L, call_outside);
    lua_createtable(L, static_cast<int>(names->size()), 0);
    for (size_t i = 0; i < names->size(); ++i) {
      lua_pushlstring(L, (*names)[i].data(), (*names)[i].size());
      lua_rawseti(L, -2, static_cast<int>(i) + 1);
    }
    lua_pushcfunction(L, write);
    lua_call(L, 3, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "environment");
    return 0;
  }

  struct Run {
    const std::string& source;
    std::vector<Value> results;
  };

  static int run_source(lua_State* L) {
    auto& run = *static_cast<Run*>(lua_touserdata(L, 1));
    const std::string expression = "return " + run.source;
    // Text only; an expression first, as at the prompt.
    if (luaL_loadbufferx(L, expression.data(), expression.size(), "=code", "t") != 0) {
      lua_pop(L, 1);
      if (luaL_loadbufferx(L, run.source.data(), run.source.size(), "=code", "t") != 0)
        return lua_error(L);
    }
    lua_getfield(L, LUA_REGISTRYINDEX, "environment");
    lua_setfenv(L, -2);
    const int base = lua_gettop(L) - 1;
    lua_call(L, 0, LUA_MULTRET);
    for (int i = base + 1; i <= lua_gettop(L); ++i) {
      // What cannot leave stands as its text.
      if (lua_isfunction(L, i) || lua_isthread(L, i) || lua_isuserdata(L, i))
        run.results.emplace_back(std::string(luaL_typename(L, i)));
      else
        run.results.push_back(copy_value(L, i, "result"));
    }
    return 0;
  }
};

LuaSandbox::LuaSandbox(SandboxLimits limits, const std::vector<std::string>& functions,
                       Outside outside)
    : impl_(std::make_unique<Impl>()) {
  impl_->limits = limits;
  impl_->outside = std::move(outside);
  impl_->L = lua_newstate(Impl::allocate, impl_.get());
  LM_CHECK(impl_->L != nullptr, ErrorCode::unsupported,
           "sandbox: this LuaJIT takes no allocator of ours, so memory cannot be limited");
  lua_State* L = impl_->L;
  luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
  lua_pushlightuserdata(L, impl_.get());
  lua_setfield(L, LUA_REGISTRYINDEX, "sandbox");
  if (lua_cpcall(L, Impl::set_up, const_cast<std::vector<std::string>*>(&functions)) != 0)
    throw to_error(L, -1);
}

LuaSandbox::~LuaSandbox() = default;

SandboxOutcome LuaSandbox::run(const std::string& source) {
  Impl& impl = *impl_;
  lua_State* L = impl.L;
  impl.instructions = 0;
  impl.output.clear();
  impl.limit.clear();
  impl.deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                     std::chrono::duration<double>(impl.limits.seconds));
  Impl::Run run{source, {}};
  lua_sethook(L, Impl::hook, LUA_MASKCOUNT, kLook);
  impl.running = true;
  const int status = lua_cpcall(L, Impl::run_source, &run);
  impl.running = false;
  lua_sethook(L, nullptr, 0, 0);
  SandboxOutcome outcome;
  outcome.ok = status == 0 && (impl.limit.empty() || impl.limit == "memory");
  outcome.output = impl.output;
  if (outcome.ok) {
    outcome.results = std::move(run.results);
  } else {
    size_t size = 0;
    const char* text = lua_tolstring(L, -1, &size);
    outcome.limit = status == LUA_ERRMEM ? "memory" : impl.limit == "memory" ? "" : impl.limit;
    if (!outcome.limit.empty())
      outcome.error = "the limit on " + outcome.limit + " is exceeded";
    else if (text != nullptr)
      outcome.error.assign(text, size);
    else
      outcome.error = status == 0 ? "the code did not end" : to_error(L, -1).message();
  }
  lua_settop(L, 0);
  lua_gc(L, LUA_GCCOLLECT, 0);
  return outcome;
}

}  // namespace lm
