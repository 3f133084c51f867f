// The Lua module lm.engine.mcp: servers of the Model Context Protocol, and the calls they answer.
// The functions users see are Lua's, in lua/stdlib/lm/mcp.lua.
#include <cmath>
#include <lua.hpp>
#include <nlohmann/json.hpp>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/callback.h"
#include "bindings/error_table.h"
#include "engine/api/serve.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/text/base64.h"
#include "mcp/client.h"
#include "mcp/http.h"
#include "mcp/server.h"
#include "mcp/stdio.h"
#include "runtime/event_loop.h"
#include "runtime/interrupt.h"

namespace lm {
namespace {

using mcp::Call;
using mcp::RpcError;
using mcp::Server;

constexpr const char* kServer = "lm.McpServer";
constexpr const char* kCall = "lm.McpCall";
constexpr const char* kClient = "lm.McpClient";
constexpr const char* kAlarm = "lm.McpAlarm";
constexpr const char* kServing = "lm.McpHttp";
constexpr const char* kQuestion = "lm.McpToken";

// server{name, title, version, instructions}, handler(call), on_task(id) -> server
int server(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  mcp::ServerOptions o;
  o.name = text_field(L, 1, "name");
  o.title = text_field(L, 1, "title");
  o.version = text_field(L, 1, "version");
  o.instructions = text_field(L, 1, "instructions");
  const auto handler = std::make_shared<Callback>(L, 2);  // lives as long as the state
  o.handler = [handler](std::shared_ptr<Call> call) {
    main_loop().post([handler, call] {
      if (call->cancelled()) return;
      try {
        (*handler)(kCall, call);
      } catch (const Error& e) {
        call->fail({mcp::kInternalError, e.message(), ""});
      }
    });
  };
  const auto on_task = std::make_shared<Callback>(L, 3);
  o.on_task = [on_task](const std::string& id) {
    main_loop().post([on_task, id] { (*on_task)("", nullptr, {id}); });
  };
  push_shared(L, kServer, std::make_shared<Server>(std::move(o)));
  return 1;
}

std::shared_ptr<Server> check_server(lua_State* L) {
  return check_shared<Server>(L, 1, kServer);
}
std::shared_ptr<Call> check_call(lua_State* L) {
  return check_shared<Call>(L, 1, kCall);
}

// set_list(server, kind, entries_json)
int set_list(lua_State* L) {
  check_server(L)->set_list(string_at(L, 2), string_at(L, 3));
  return 0;
}

// set_scopes(server, scopes_json): what tokens must allow, by tool
int set_scopes(lua_State* L) {
  check_server(L)->set_scopes(string_at(L, 2));
  return 0;
}

// resource_updated(server, uri)
int resource_updated(lua_State* L) {
  check_server(L)->resource_updated(string_at(L, 2));
  return 0;
}

mcp::Json json_at(lua_State* L, int index) {
  return mcp::Json::parse(string_at(L, index), nullptr, false);
}

// task_create(server, call, ttl_ms, poll_ms) -> task_json
int task_create(lua_State* L) {
  const auto s = check_server(L);
  const auto call = check_shared<Call>(L, 2, kCall);
  try {
    push_string(L, s->tasks()
                       .create(call->principal(), static_cast<int64_t>(luaL_checknumber(L, 3)),
                               static_cast<int64_t>(luaL_checknumber(L, 4)))
                       .dump());
  } catch (const RpcError& e) {
    throw Error(ErrorCode::unsupported, e.message);
  }
  return 1;
}

// task_set(server, id, "working" | "input_required" | "completed" | "failed", message or JSON)
int task_set(lua_State* L) {
  const auto s = check_server(L);
  const std::string id = string_at(L, 2), status = string_at(L, 3);
  bool changed = false;
  if (status == "working") {
    changed = s->tasks().working(id, string_at(L, 4));
  } else if (status == "input_required") {
    changed = s->tasks().ask(id, json_at(L, 4));
  } else if (status == "completed") {
    changed = s->tasks().complete(id, json_at(L, 4));
  } else {
    changed = s->tasks().fail(
        id, {static_cast<int>(luaL_checknumber(L, 4)), string_at(L, 5), luaL_optstring(L, 6, "")});
  }
  if (changed) s->task_changed(id);
  return 0;
}

// task_answers(server, id) -> answers_json that came since last asked
int task_answers(lua_State* L) {
  push_string(L, check_server(L)->tasks().take_answers(string_at(L, 2)).dump());
  return 1;
}

// task_over(server, id) -> boolean: nobody waits for it
int task_over(lua_State* L) {
  lua_pushboolean(L, check_server(L)->tasks().is_over(string_at(L, 2)));
  return 1;
}

// alarm(function(text)) -> alarm
int alarm(lua_State* L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  push_shared(L, kAlarm, std::make_shared<Callback>(L, 1));
  return 1;
}

// ring(alarm, seconds, text): calls the function once, then; main thread only
int ring(lua_State* L) {
  const auto function = check_shared<Callback>(L, 1, kAlarm);
  const auto delay = std::chrono::milliseconds(std::llround(luaL_checknumber(L, 2) * 1000));
  main_loop().after(delay,
                    [function, text = string_at(L, 3)] { (*function)("", nullptr, {text}); });
  return 0;
}

int g_output = -1;

// claim_stdout(): messages go where standard output went, everything else to standard error
int claim_stdout(lua_State*) {
  if (g_output < 0) g_output = mcp::claim_standard_output();
  return 0;
}

// serve_stdio(server): until standard input ends
int serve_stdio(lua_State* L) {
  const auto s = check_server(L);
  if (g_output < 0) g_output = mcp::claim_standard_output();
  const auto ended = std::make_shared<std::atomic<bool>>(false);
  const mcp::StdioServer stdio(s, 0, g_output, [ended] {
    *ended = true;
    main_loop().wake();
  });
  while (!*ended) {
    main_loop().wait(-1, std::chrono::milliseconds(-1));
    main_loop().pump();
    check_interrupt();
  }
  return 0;
}

// One port of HTTP and what answers there.
struct HttpServing {
  std::shared_ptr<mcp::HttpEndpoint> endpoint;
  std::unique_ptr<HttpServer> http;
  ~HttpServing() {
    if (http) http->stop(0);
  }
};

// {resource, metadata, scopes} and verify(token_question), which settles the question.
std::unique_ptr<mcp::Authorization> authorization_at(lua_State* L, int index, int verify) {
  if (!lua_isfunction(L, verify)) return nullptr;
  mcp::AuthorizationOptions o;
  o.resource = text_field(L, index, "resource");
  o.metadata = text_field(L, index, "metadata");
  o.scopes = texts_field(L, index, "scopes");
  const auto callback = std::make_shared<Callback>(L, verify);
  o.verify = [callback](std::shared_ptr<mcp::TokenQuestion> question) {
    main_loop().post([callback, question] { (*callback)(kQuestion, question); });
  };
  return std::make_unique<mcp::Authorization>(std::move(o));
}

// token(question) -> token
int token(lua_State* L) {
  push_string(L, check_shared<mcp::TokenQuestion>(L, 1, kQuestion)->token());
  return 1;
}

// settle(question, answer_json): once; see mcp/authorization.h
int settle(lua_State* L) {
  check_shared<mcp::TokenQuestion>(L, 1, kQuestion)->settle(string_at(L, 2));
  return 0;
}

// serve_http(server, {host, port, path, allowed_hosts, allowed_origins, cert, key}, {resource,
//   metadata, scopes} or nil, verify(token_question) or nil) -> serving, port
int serve_http(lua_State* L) {
  const auto s = check_server(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  HttpServerOptions o;
  o.host = text_field(L, 2, "host");
  o.port = static_cast<int>(number_field(L, 2, "port", 0));
  o.allowed_hosts = texts_field(L, 2, "allowed_hosts");
  o.allowed_origins = texts_field(L, 2, "allowed_origins");
  o.cert = text_field(L, 2, "cert");
  o.key = text_field(L, 2, "key");
  auto serving = std::make_shared<HttpServing>();
  serving->endpoint =
      std::make_shared<mcp::HttpEndpoint>(s, text_field(L, 2, "path"), authorization_at(L, 3, 4));
  HttpHandlers handlers;
  handlers.handle = [endpoint = serving->endpoint](std::shared_ptr<HttpExchange> exchange) {
    endpoint->handle(exchange);
  };
  serving->http = serve_api().http(o, std::move(handlers));
  const int port = serving->http->port();
  push_shared(L, kServing, serving);
  lua_pushinteger(L, port);
  return 2;
}

// stop_http(serving)
int stop_http(lua_State* L) {
  const auto serving = check_shared<HttpServing>(L, 1, kServing);
  if (serving->http) serving->http->stop(0);
  serving->http.reset();
  return 0;
}

// wait(): serves until the process is to end (for scripts)
int wait_forever(lua_State*) {
  for (;;) {
    main_loop().wait(-1, std::chrono::milliseconds(-1));
    main_loop().pump();
    check_interrupt();
  }
}

// base64(bytes) -> text
int base64(lua_State* L) {
  push_string(L, encode_base64(string_at(L, 1)));
  return 1;
}

// call_info(call) -> {method, params, modern, version, capabilities, principal, claims}
int call_info(lua_State* L) {
  const auto call = check_call(L);
  lua_newtable(L);
  set_field(L, "method", call->method());
  set_field(L, "params", call->params());
  set_field(L, "modern", call->modern());
  set_field(L, "version", call->protocol_version());
  set_field(L, "capabilities", call->client_capabilities());
  set_field(L, "principal", call->principal());
  set_field(L, "claims", call->claims());
  return 1;
}

// respond(call, result_json)
int respond(lua_State* L) {
  check_call(L)->respond(string_at(L, 2));
  return 0;
}

// fail(call, code, message, data_json or nil)
int fail(lua_State* L) {
  const auto call = check_call(L);
  call->fail({static_cast<int>(luaL_checknumber(L, 2)), string_at(L, 3), luaL_optstring(L, 4, "")});
  return 0;
}

// progress(call, progress, total, message)
int progress(lua_State* L) {
  check_call(L)->progress(luaL_checknumber(L, 2), luaL_optnumber(L, 3, 0),
                          luaL_optstring(L, 4, ""));
  return 0;
}

// log(call, level, logger, data_json)
int log_message(lua_State* L) {
  check_call(L)->log(string_at(L, 2), luaL_optstring(L, 3, ""), string_at(L, 4));
  return 0;
}

// cancelled(call) -> boolean
int cancelled(lua_State* L) {
  lua_pushboolean(L, check_call(L)->cancelled());
  return 1;
}

// Waits for an answer while everything else goes on. The answer, JSON, or nil, code, message.
int wait_for(lua_State* L, std::future<std::string> future, double seconds,
             const std::function<bool()>& stopped) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (future.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    if (main_loop().on_main_thread()) {
      main_loop().wait(-1, std::chrono::milliseconds(5));
      main_loop().pump();
    } else {
      future.wait_for(std::chrono::milliseconds(5));
    }
    check_interrupt();
    if (stopped && stopped()) throw Error(ErrorCode::interrupted, "the call was cancelled");
    if (std::chrono::steady_clock::now() > deadline)
      throw Error(ErrorCode::timeout, fmt::format("no answer after {} s", seconds));
  }
  if (main_loop().on_main_thread())
    main_loop().pump();  // what came before the answer is told first
  try {
    push_string(L, future.get());
    return 1;
  } catch (const RpcError& e) {
    lua_pushnil(L);
    lua_pushnumber(L, e.code);
    push_string(L, e.message);
    push_string(L, e.data);
    return 4;
  }
}

// ask(call, method, params_json, seconds) -> result_json, or nil, code, message
int ask(lua_State* L) {
  const auto call = check_call(L);
  return wait_for(L, call->ask(string_at(L, 2), string_at(L, 3)), luaL_optnumber(L, 4, 300),
                  [call] { return call->cancelled(); });
}

// connect(command (list of words), on_message(client, method, params_json, id_json or nil))
//   -> client
int connect(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  std::vector<std::string> words;
  for (int i = 1; i <= static_cast<int>(lua_objlen(L, 1)); ++i) {
    lua_rawgeti(L, 1, i);
    words.push_back(string_at(L, -1));
    lua_pop(L, 1);
  }
  const auto on_message = std::make_shared<Callback>(L, 2);
  const auto client = mcp::start_process_client(words);
  client->set_handler([on_message, weak = std::weak_ptr(client)](const std::string& method,
                                                                 const std::string& params,
                                                                 const std::string& id) {
    main_loop().post([=] {
      const auto c = weak.lock();
      if (c) (*on_message)(kClient, c, {method, params, id});
    });
  });
  push_shared(L, kClient, client);
  return 1;
}

std::shared_ptr<mcp::Client> check_client(lua_State* L) {
  return check_shared<mcp::Client>(L, 1, kClient);
}

// request(client, method, params_json, seconds) -> result_json, or nil, code, message, data_json
int request(lua_State* L) {
  const auto client = check_client(L);
  int64_t id = 0;
  auto future = client->request(string_at(L, 2), string_at(L, 3), &id);
  try {
    return wait_for(L, std::move(future), luaL_optnumber(L, 4, 60), {});
  } catch (const Error&) {
    client->cancel(id);
    throw;
  }
}

// start(client, method, params_json) -> id: a request whose result nobody waits for
int start(lua_State* L) {
  int64_t id = 0;
  (void)check_client(L)->request(string_at(L, 2), string_at(L, 3), &id);
  lua_pushinteger(L, static_cast<lua_Integer>(id));
  return 1;
}

// notify(client, method, params_json)
int notify(lua_State* L) {
  check_client(L)->notify(string_at(L, 2), string_at(L, 3));
  return 0;
}

// answer(client, id_json, result_json); answer_error(client, id_json, code, message)
int answer(lua_State* L) {
  check_client(L)->answer(string_at(L, 2), string_at(L, 3));
  return 0;
}
int answer_error(lua_State* L) {
  check_client(L)->answer_error(string_at(L, 2),
                                {static_cast<int>(luaL_checknumber(L, 3)), string_at(L, 4), ""});
  return 0;
}

// close(client)
int close_client(lua_State* L) {
  check_client(L)->close();
  return 0;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_mcp(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kNone[] = {{nullptr, nullptr}};
  for (const char* type : {kServer, kCall, kClient, kServing, kAlarm, kQuestion}) {
    new_shared_type(L, type, kNone);
    lua_pop(L, 1);
  }
  constexpr luaL_Reg kFunctions[] = {{"server", server},
                                     {"set_list", set_list},
                                     {"set_scopes", set_scopes},
                                     {"token", token},
                                     {"settle", settle},
                                     {"resource_updated", resource_updated},
                                     {"task_create", task_create},
                                     {"task_set", task_set},
                                     {"task_answers", task_answers},
                                     {"task_over", task_over},
                                     {"alarm", alarm},
                                     {"ring", ring},
                                     {"claim_stdout", claim_stdout},
                                     {"serve_stdio", serve_stdio},
                                     {"serve_http", serve_http},
                                     {"stop_http", stop_http},
                                     {"wait", wait_forever},
                                     {"base64", base64},
                                     {"call_info", call_info},
                                     {"respond", respond},
                                     {"fail", fail},
                                     {"progress", progress},
                                     {"log", log_message},
                                     {"cancelled", cancelled},
                                     {"ask", ask},
                                     {"connect", connect},
                                     {"request", request},
                                     {"start", start},
                                     {"notify", notify},
                                     {"answer", answer},
                                     {"answer_error", answer_error},
                                     {"close", close_client},
                                     {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
