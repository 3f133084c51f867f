// The Lua module lm.engine.serve: the model server as a handle. The functions users see are Lua's,
// in lua/stdlib/lm/serve.lua. Hooks run in the main state, on the main thread.
#include <lua.hpp>
#include <thread>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/error_table.h"
#include "bindings/shared_handle.h"
#include "engine/api/serve.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "runtime/console.h"
#include "runtime/event_loop.h"
#include "runtime/interrupt.h"
#include "runtime/shutdown.h"

namespace lm {
namespace {

constexpr const char* kServer = "lm.engine.Server";
constexpr double kExitDrain = 2;  // seconds that requests have when the process ends

// What a handle holds: the server and the Lua functions that it asks.
struct ServerHandle {
  std::unique_ptr<Server> server;
  lua_State* main = nullptr;
  int hooks = LUA_NOREF;  // table name -> function(json) -> json or nil
  double hook_timeout_s = 30;
};

// On the main thread.
std::string run_hook(lua_State* L, int hooks, const char* name, const std::string& question) {
  const int top = lua_gettop(L);
  luaL_checkstack(L, 8, "a hook of the server");
  lua_rawgeti(L, LUA_REGISTRYINDEX, hooks);
  std::string answer;
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, name);
    if (lua_isfunction(L, -1)) {
      push_string(L, question);
      try {
        protected_call(L, 1, 1);
      } catch (const Error&) {
        lua_settop(L, top);
        throw;
      }
      if (lua_type(L, -1) == LUA_TSTRING) answer = string_at(L, -1);
    }
  }
  lua_settop(L, top);
  return answer;
}

// From a worker of the server. Errors of hooks are the server's own, whatever their code; only
// "denied" is an answer to the client.
std::string ask_hook(const ServerHandle& handle, const char* name, const std::string& question) {
  auto answer = main_loop().call([L = handle.main, hooks = handle.hooks, name, question] {
    return run_hook(L, hooks, name, question);
  });
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::duration<double>(handle.hook_timeout_s);
  while (answer.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
    check_interrupt();
    LM_CHECK(std::chrono::steady_clock::now() < end, ErrorCode::timeout,
             "{}: the prompt was busy for {} s", name, handle.hook_timeout_s);
  }
  try {
    return answer.get();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::denied || error.code() == ErrorCode::interrupted) throw;
    const std::string place = error.where().empty() ? "" : error.where() + ": ";
    throw Error(ErrorCode::internal, fmt::format("{}: {}{}", name, place, error.message()));
  }
}

// A text, or a list of them.
std::vector<std::string> one_or_more_texts(lua_State* L, int index, const char* name) {
  lua_getfield(L, index, name);
  const bool one = lua_isstring(L, -1) != 0;
  lua_pop(L, 1);
  if (one) return {text_field(L, index, name)};
  return texts_field(L, index, name);
}

ServeOptions serve_options(lua_State* L, int index) {
  ServeOptions o;
  HttpServerOptions& h = o.http;
  h.host = text_field(L, index, "host", h.host);
  h.port = static_cast<int>(number_field(L, index, "port", 0));
  h.cert = text_field(L, index, "cert");
  h.key = text_field(L, index, "key");
  const auto size = [&](const char* name, size_t& value) {
    value = static_cast<size_t>(number_field(L, index, name, static_cast<double>(value)));
  };
  size("max_streams", h.workers);
  size("queue", h.queue);
  size("max_connections", h.max_connections);
  size("max_body_bytes", h.max_body_bytes);
  size("max_header_bytes", h.max_header_bytes);
  const auto time = [&](const char* name, double& value) {
    value = number_field(L, index, name, value);
  };
  time("header_timeout", h.header_timeout_s);
  time("request_timeout", h.request_timeout_s);
  time("idle_timeout", h.idle_timeout_s);
  time("write_timeout", h.write_timeout_s);
  h.allowed_hosts = one_or_more_texts(L, index, "allowed_hosts");
  h.allowed_origins = one_or_more_texts(L, index, "allowed_origins");
  o.api_keys = one_or_more_texts(L, index, "api_key");
  o.state = text_field(L, index, "state");
  o.requests_per_minute = number_field(L, index, "requests_per_minute", 0);
  o.concurrent_requests = static_cast<int64_t>(number_field(L, index, "concurrent_requests", 0));
  o.ignore_unknown_fields = flag_field(L, index, "ignore_unknown_fields");
  if (flag_field(L, index, "log"))
    o.on_log = [](const std::string& line) { console().write_err(line + "\n"); };
  return o;
}

std::shared_ptr<ServerHandle> check_server(lua_State* L) {
  return check_shared<ServerHandle>(L, 1, kServer);
}

// Waits for the requests of a server that are to end, while the main thread answers their hooks.
void drain(ServerHandle& handle, double seconds) {
  if (!main_loop().on_main_thread()) return handle.server->stop(seconds);
  std::atomic<bool> done{false};
  std::thread stopping = spawn_thread([&] {
    handle.server->stop(seconds);
    done = true;
    main_loop().wake();
  });
  while (!done) {
    main_loop().wait(-1, std::chrono::milliseconds(100));
    main_loop().pump();
  }
  stopping.join();
}

// start(options, hooks) -> handle
int start(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  LM_CHECK(main_loop().on_main_thread(), ErrorCode::unsupported,
           "a job cannot serve: hooks belong to the prompt's state");
  auto handle = std::make_shared<ServerHandle>();
  handle->main = L;
  handle->hook_timeout_s = number_field(L, 1, "hook_timeout", handle->hook_timeout_s);
  handle->server = serve_api().models(serve_options(L, 1));
  lua_pushvalue(L, 2);
  handle->hooks = luaL_ref(L, LUA_REGISTRYINDEX);
  on_shutdown(ShutdownStage::servers, [weak = std::weak_ptr<ServerHandle>(handle)] {
    if (const auto h = weak.lock()) drain(*h, kExitDrain);
  });
  push_shared(L, kServer, handle, 1 << 16);
  return 1;
}

// set_hooks(handle, {name = true}): which of the hooks are to be asked
int set_hooks(lua_State* L) {
  const auto handle = check_server(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  ServeHooks hooks;
  // A weak reference: the hooks belong to the server that the handle holds.
  const auto hook = [&](const char* name) -> std::function<std::string(const std::string&)> {
    if (!flag_field(L, 2, name)) return {};
    return [weak = std::weak_ptr<ServerHandle>(handle), name](const std::string& question) {
      const auto h = weak.lock();
      return h ? ask_hook(*h, name, question) : std::string();
    };
  };
  hooks.on_request = hook("on_request");
  hooks.on_token = hook("on_token");
  hooks.on_response = hook("on_response");
  hooks.on_moderation = hook("on_moderation");
  hooks.on_unknown_model = hook("on_unknown_model");
  handle->server->set_hooks(std::move(hooks));
  return 0;
}

// add(handle, {name, model or path, context, idle_unload, precision, kv_cache}, replace)
int add(lua_State* L) {
  const auto handle = check_server(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  ServedModelOptions o;
  o.name = text_field(L, 2, "name");
  o.path = text_field(L, 2, "path");
  o.load.precision = text_field(L, 2, "precision", o.load.precision);
  o.load.kv_cache = text_field(L, 2, "kv_cache", o.load.kv_cache);
  o.context = static_cast<int64_t>(number_field(L, 2, "context", 0));
  o.idle_unload_s = number_field(L, 2, "idle_unload", 0);
  lua_getfield(L, 2, "model");
  if (!lua_isnil(L, -1)) o.model = check_model(L, lua_gettop(L));
  lua_pop(L, 1);
  handle->server->add(std::move(o), lua_toboolean(L, 3) != 0);
  return 0;
}

// resume(handle): unfinished batches go on
int resume(lua_State* L) {
  check_server(L)->server->resume_batches();
  return 0;
}

// remove(handle, name)
int remove(lua_State* L) {
  check_server(L)->server->remove(string_at(L, 2));
  return 0;
}

// names(handle) -> list
int names(lua_State* L) {
  const auto all = check_server(L)->server->names();
  lua_createtable(L, static_cast<int>(all.size()), 0);
  for (size_t i = 0; i < all.size(); ++i) {
    push_string(L, all[i]);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

// stats(handle) -> JSON
int stats(lua_State* L) {
  push_string(L, check_server(L)->server->stats());
  return 1;
}

int port(lua_State* L) {
  lua_pushinteger(L, check_server(L)->server->port());
  return 1;
}

// stop(handle, seconds)
int stop(lua_State* L) {
  const auto handle = check_server(L);
  drain(*handle, luaL_checknumber(L, 2));
  luaL_unref(L, LUA_REGISTRYINDEX, std::exchange(handle->hooks, LUA_NOREF));
  return 0;
}

// wait(): runs what servers ask of this thread until Ctrl-C or a request to end, and answers that
int wait(lua_State*) {
  while (!interrupt_pending()) {
    main_loop().wait(-1, std::chrono::milliseconds(500));
    main_loop().pump();
  }
  clear_interrupt();
  return 0;
}

int openapi(lua_State* L) {
  push_string(L, serve_api().openapi());
  return 1;
}

int reference(lua_State* L) {
  push_string(L, serve_api().reference());
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_serve(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kNone[] = {{nullptr, nullptr}};
  new_shared_type(L, kServer, kNone);
  lua_pop(L, 1);
  constexpr luaL_Reg kFunctions[] = {
      {"start", start},   {"set_hooks", set_hooks}, {"add", add},         {"resume", resume},
      {"remove", remove}, {"names", names},         {"stats", stats},     {"port", port},
      {"stop", stop},     {"wait", wait},           {"openapi", openapi}, {"reference", reference},
      {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
