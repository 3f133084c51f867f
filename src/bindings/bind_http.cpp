// The Lua module lm.engine.http: one HTTP request on a thread of its own, while the caller's thread
// serves whatever else comes. The functions others use are Lua's, in lua/stdlib/lm/http.lua.
#include <condition_variable>
#include <deque>
#include <lua.hpp>
#include <thread>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/error_table.h"
#include "engine/api/net.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/core/socket_guard.h"
#include "runtime/event_loop.h"
#include "runtime/interrupt.h"

namespace lm {
namespace {

constexpr size_t kMostUnread = size_t{64} << 20;

struct Exchange {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::string> chunks;
  HttpReply reply;
  bool has_reply = false, done = false;
  std::exception_ptr error;
  SocketGuard guard;

  void tell() {
    changed.notify_all();
    main_loop().wake();
  }
};

std::string text_field(lua_State* L, int index, const char* name, const char* fallback = "") {
  lua_getfield(L, index, name);
  std::string text = lua_isstring(L, -1) ? string_at(L, -1) : fallback;
  lua_pop(L, 1);
  return text;
}

void run(Exchange& x, const HttpOrigin& origin, const HttpOptions& options,
         const HttpRequest& request) {
  try {
    HttpSink sink;
    size_t total = 0;
    sink.on_headers = [&](const HttpReply& reply) {
      const std::lock_guard lock(x.mutex);
      x.reply = reply;
      x.has_reply = true;
      x.tell();
      return true;
    };
    sink.on_data = [&](std::string_view data) {
      total += data.size();
      LM_CHECK(total <= kMostUnread, ErrorCode::unsupported,
               "http: an answer of more than 64 MiB; expected a smaller one");
      const std::lock_guard lock(x.mutex);
      x.chunks.emplace_back(data);
      x.tell();
      return true;
    };
    net_api().connect(origin, options, x.guard)->send(request, sink);
  } catch (const std::exception&) {
    const std::lock_guard lock(x.mutex);
    x.error = std::current_exception();
  }
  const std::lock_guard lock(x.mutex);
  x.done = true;
  x.tell();
}

void push_reply(lua_State* L, const HttpReply& reply) {
  lua_newtable(L);
  set_field(L, "status", reply.status);
  lua_newtable(L);
  for (const auto& [name, value] : reply.headers) set_field(L, name.c_str(), value);
  lua_setfield(L, -2, "headers");
}

// Waits for news; serves what the main thread has to serve meanwhile.
void wait(Exchange& x) {
  if (main_loop().on_main_thread()) {
    main_loop().wait(-1, std::chrono::milliseconds(20));
    main_loop().pump();
  } else {
    std::unique_lock lock(x.mutex);
    x.changed.wait_for(lock, std::chrono::milliseconds(50),
                       [&] { return x.done || !x.chunks.empty(); });
  }
  check_interrupt();
}

// Hands the chunks that are there to on_data(chunk, reply); false: it wants no more.
bool deliver(lua_State* L, Exchange& x, int on_data) {
  for (;;) {
    std::string chunk;
    {
      const std::lock_guard lock(x.mutex);
      if (x.chunks.empty()) return true;
      chunk = std::move(x.chunks.front());
      x.chunks.pop_front();
    }
    lua_pushvalue(L, on_data);
    push_string(L, chunk);
    push_reply(L, x.reply);
    protected_call(L, 2, 1);
    const bool stop = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (stop) return false;
  }
}

// request({scheme, host, port, target, method, headers, body, connect_timeout, read_timeout},
//         on_data(chunk, reply)) -> {status, headers}
int request(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  HttpOrigin origin{text_field(L, 1, "scheme", "http"), text_field(L, 1, "host"),
                    static_cast<int>(number_field(L, 1, "port", 80))};
  HttpOptions options;
  options.connect_timeout_s = number_field(L, 1, "connect_timeout", 10);
  options.read_timeout_s = number_field(L, 1, "read_timeout", 300);
  HttpRequest r;
  r.method = text_field(L, 1, "method", "GET");
  r.target = text_field(L, 1, "target", "/");
  r.body = text_field(L, 1, "body");
  lua_getfield(L, 1, "headers");
  if (lua_istable(L, -1))
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
      r.headers.emplace_back(string_at(L, -2), string_at(L, -1));
  lua_pop(L, 1);
  Exchange x;
  std::thread thread([&] { run(x, origin, options, r); });
  const auto finish = [&] {
    x.guard.stop();
    thread.join();
  };
  bool stopped = false;
  try {
    for (bool done = false; !done && !stopped;) {
      wait(x);
      {
        const std::lock_guard lock(x.mutex);
        done = x.done;
      }
      stopped = !deliver(L, x, 2);
    }
  } catch (...) {
    finish();
    throw;
  }
  finish();
  if (x.error && !stopped) std::rethrow_exception(x.error);
  push_reply(L, x.reply);
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_http(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kFunctions[] = {{"request", request}, {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
