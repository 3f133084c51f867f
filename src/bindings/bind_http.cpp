// The Lua module lm.engine.http: one HTTP request on a thread of its own, while the caller's thread
// serves whatever else comes. The functions others use are Lua's, in lua/stdlib/lm/http.lua.
#include <condition_variable>
#include <deque>
#include <lua.hpp>
#include <thread>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/callback.h"
#include "bindings/error_table.h"
#include "engine/api/net.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/core/socket_guard.h"
#include "runtime/event_loop.h"
#include "runtime/interrupt.h"

namespace lm {
namespace {

constexpr const char* kStream = "lm.HttpStream";
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

// The thread of an exchange, which ends with the scope however that is left.
struct Worker {
  Exchange& x;
  std::thread thread;
  Worker(Exchange& exchange, std::thread t) : x(exchange), thread(std::move(t)) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    x.guard.stop();
    thread.join();
  }
};

struct Asked {
  HttpOrigin origin;
  HttpOptions options;
  HttpRequest request;
};

// {scheme, host, port, target, method, headers, body, connect_timeout, read_timeout, address}
Asked asked_at(lua_State* L, int index) {
  luaL_checktype(L, index, LUA_TTABLE);
  Asked a;
  a.origin = {text_field(L, index, "scheme", "http"), text_field(L, index, "host"),
              static_cast<int>(number_field(L, index, "port", 80))};
  a.options.connect_timeout_s = number_field(L, index, "connect_timeout", 10);
  a.options.read_timeout_s = number_field(L, index, "read_timeout", 300);
  a.options.address = text_field(L, index, "address");
  a.request.method = text_field(L, index, "method", "GET");
  a.request.target = text_field(L, index, "target", "/");
  a.request.body = text_field(L, index, "body");
  lua_getfield(L, index, "headers");
  if (lua_istable(L, -1))
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
      a.request.headers.emplace_back(string_at(L, -2), string_at(L, -1));
  lua_pop(L, 1);
  return a;
}

// A request that goes on in the background.
struct Stream {
  SocketGuard guard;
  std::thread thread;
  ~Stream() { stop(); }
  void stop() {
    guard.stop();
    if (thread.joinable()) thread.join();
  }
};

// stream(request as above, on_data(chunk), on_end()) -> stream; both are called on the main thread
int stream(lua_State* L) {
  luaL_checktype(L, 2, LUA_TFUNCTION);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  const auto on_data = std::make_shared<Callback>(L, 2), on_end = std::make_shared<Callback>(L, 3);
  auto made = std::make_shared<Stream>();
  made->thread = std::thread([a = asked_at(L, 1), on_data, on_end, guard = &made->guard] {
    HttpSink sink;
    sink.on_headers = [](const HttpReply& reply) { return reply.status == 200; };
    sink.on_data = [&](std::string_view data) {
      main_loop().post([on_data, chunk = std::string(data)] { (*on_data)("", nullptr, {chunk}); });
      return true;
    };
    try {
      net_api().connect(a.origin, a.options, *guard)->send(a.request, sink);
    } catch (const std::exception&) {  // it ends, as streams do
    }
    main_loop().post([on_end] { (*on_end)("", nullptr); });
  });
  push_shared(L, kStream, made);
  return 1;
}

// stop(stream)
int stop(lua_State* L) {
  check_shared<Stream>(L, 1, kStream)->stop();
  return 0;
}

// request(request as above, on_data(chunk, reply)) -> {status, headers}
int request(lua_State* L) {
  luaL_checktype(L, 2, LUA_TFUNCTION);
  const Asked asked = asked_at(L, 1);
  Exchange x;
  bool stopped = false;
  {
    const Worker worker{x,
                        std::thread([&] { run(x, asked.origin, asked.options, asked.request); })};
    for (bool done = false; !done && !stopped;) {
      wait(x);
      {
        const std::lock_guard lock(x.mutex);
        done = x.done;
      }
      stopped = !deliver(L, x, 2);
    }
  }
  if (x.error && !stopped) std::rethrow_exception(x.error);
  push_reply(L, x.reply);
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_http(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kNone[] = {{nullptr, nullptr}};
  new_shared_type(L, kStream, kNone);
  lua_pop(L, 1);
  constexpr luaL_Reg kFunctions[] = {
      {"request", request}, {"stream", stream}, {"stop", stop}, {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
