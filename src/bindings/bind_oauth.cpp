// The Lua module lm.engine.oauth: what authorization needs of the machine. The flow itself is
// Lua's, in lua/stdlib/lm/mcp_oauth.lua.
#include <lua.hpp>
#include <mutex>
#include <utility>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/shared_handle.h"
#include "engine/api/net.h"
#include "engine/api/serve.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "engine/core/output_file.h"
#include "engine/text/base64.h"
#include "mcp/message.h"
#include "runtime/event_loop.h"

namespace lm {
namespace {

constexpr const char* kListener = "lm.OauthListener";

// sha256(bytes) -> hexadecimal digits
int sha256(lua_State* L) {
  const auto digest = net_api().digest(DigestKind::sha256);
  digest->update(string_at(L, 1));
  push_string(L, digest->hex());
  return 1;
}

// verify_signature(algorithm, {kty, crv, n, e, x, y: bytes}, bytes, signature) -> boolean
int verify_signature(lua_State* L) {
  luaL_checktype(L, 2, LUA_TTABLE);
  const PublicKey key{text_field(L, 2, "kty"), text_field(L, 2, "crv"), text_field(L, 2, "n"),
                      text_field(L, 2, "e"),   text_field(L, 2, "x"),   text_field(L, 2, "y")};
  lua_pushboolean(
      L, net_api().verify_signature(string_at(L, 1), key, string_at(L, 3), string_at(L, 4)));
  return 1;
}

// from_base64url(text) -> bytes, or nil: base64url without padding (RFC 7515, appendix C)
int from_base64url(lua_State* L) {
  std::string text = string_at(L, 1), bytes;
  if (text.find_first_of("+/=") != text.npos || text.size() % 4 == 1) return 0;
  for (char& c : text) c = c == '-' ? '+' : c == '_' ? '/' : c;
  text.append((4 - text.size() % 4) % 4, '=');
  if (!append_base64(bytes, text)) return 0;
  push_string(L, bytes);
  return 1;
}

// random() -> 32 hexadecimal digits that nobody can guess
int random(lua_State* L) {
  push_string(L, mcp::unguessable_id());
  return 1;
}

// write_private(path, bytes): a file that only its owner may read
int write_private(lua_State* L) {
  OutputFile file(string_at(L, 1));
  file.write(string_at(L, 2));
  file.commit(0600);
  return 0;
}

// Where a browser comes back to.
struct Listener {
  std::mutex mutex;
  std::string query;
  bool came = false;
  std::unique_ptr<HttpServer> http;
  ~Listener() {
    if (http) http->stop(0);
  }
};

// listen(port) -> listener, port: waits at /callback of this machine
int listen(lua_State* L) {
  HttpServerOptions o;
  o.port = static_cast<int>(luaL_optinteger(L, 1, 0));
  auto made = std::make_shared<Listener>();
  HttpHandlers handlers;
  handlers.handle = [weak = std::weak_ptr(made)](std::shared_ptr<HttpExchange> exchange) {
    const auto listener = weak.lock();
    if (!listener || exchange->request().path != "/callback") {
      exchange->answer({404, {{"content-type", "text/plain"}}, "nothing here\n"});
      return;
    }
    {
      const std::lock_guard lock(listener->mutex);
      if (!std::exchange(listener->came, true)) listener->query = exchange->request().query;
    }
    exchange->answer({200, {{"content-type", "text/plain"}}, "You may close this page.\n"});
    main_loop().wake();
  };
  made->http = serve_api().http(o, std::move(handlers));
  const int port = made->http->port();
  push_shared(L, kListener, made);
  lua_pushinteger(L, port);
  return 2;
}

// came(listener) -> the query that a browser came back with, or nil
int came(lua_State* L) {
  const auto listener = check_shared<Listener>(L, 1, kListener);
  const std::lock_guard lock(listener->mutex);
  if (!listener->came) return 0;
  push_string(L, listener->query);
  return 1;
}

// stop(listener)
int stop(lua_State* L) {
  const auto listener = check_shared<Listener>(L, 1, kListener);
  if (listener->http) listener->http->stop(0);
  listener->http.reset();
  return 0;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_oauth(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kNone[] = {{nullptr, nullptr}};
  new_shared_type(L, kListener, kNone);
  lua_pop(L, 1);
  constexpr luaL_Reg kFunctions[] = {{"sha256", sha256},
                                     {"random", random},
                                     {"write_private", write_private},
                                     {"verify_signature", verify_signature},
                                     {"from_base64url", from_base64url},
                                     {"listen", listen},
                                     {"came", came},
                                     {"stop", stop},
                                     {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
