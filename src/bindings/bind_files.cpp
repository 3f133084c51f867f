// The Lua module lm.engine.files: what the built-in tools need of the system.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <lua.hpp>

#include "agents/confined.h"
#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "engine/api/serve.h"
#include "engine/core/error.h"
#include "engine/core/output_file.h"

namespace lm {
namespace {

// real_path(path) -> the path without links and dots, or nil where nothing is there
int real_path(lua_State* L) {
  char* resolved = ::realpath(string_at(L, 1).c_str(), nullptr);
  if (resolved == nullptr)
    lua_pushnil(L);
  else
    push_string(L, resolved);
  std::free(resolved);
  return 1;
}

// replace(path, content): written beside it, synced, renamed
int replace(lua_State* L) {
  const std::string path = string_at(L, 1), content = string_at(L, 2);
  OutputFile file(path);
  file.write(content);
  file.commit();
  return 0;
}

// append(path, text): at its end, and on the disk when this returns
int append(lua_State* L) {
  const std::string path = string_at(L, 1), text = string_at(L, 2);
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  LM_CHECK(fd >= 0, ErrorCode::io, "cannot write \"{}\": {}", path, std::strerror(errno));
  const bool fine = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                    ::fdatasync(fd) == 0;
  const int error = errno;
  ::close(fd);
  LM_CHECK(fine, ErrorCode::io, "cannot write \"{}\": {}", path, std::strerror(error));
  return 0;
}

bool is_public(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    const uint32_t ip = ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr);
    const auto in = [ip](uint32_t net, int bits) {
      return ip >> (32 - bits) == net >> (32 - bits);
    };
    return !(in(0x00000000, 8) || in(0x0A000000, 8) || in(0x64400000, 10) || in(0x7F000000, 8) ||
             in(0xA9FE0000, 16) || in(0xAC100000, 12) || in(0xC0000000, 24) || in(0xC0A80000, 16) ||
             in(0xC6120000, 15) || in(0xE0000000, 3));
  }
  if (address->sa_family != AF_INET6) return false;
  const in6_addr& ip = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&ip)) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, ip.s6_addr + 12, 4);
    return is_public(reinterpret_cast<const sockaddr*>(&v4));
  }
  // 6to4 and Teredo carry addresses of the older kind, perhaps private ones.
  const bool tunnel = ip.s6_addr[0] == 0x20 &&
                      (ip.s6_addr[1] == 0x02 ||
                       (ip.s6_addr[1] == 0x01 && ip.s6_addr[2] == 0 && ip.s6_addr[3] == 0));
  return (ip.s6_addr[0] & 0xE0) == 0x20 && !tunnel;  // 2000::/3, what is given to anybody
}

// public_address(name) -> an address that the name stands for, or nil: one of them is inside of a
// private network, or there is none
int public_address(lua_State* L) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  bool all = ::getaddrinfo(string_at(L, 1).c_str(), nullptr, &hints, &found) == 0;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) all = all && is_public(a->ai_addr);
  char text[NI_MAXHOST] = "";
  all = all && found != nullptr &&
        ::getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, nullptr, 0,
                      NI_NUMERICHOST) == 0;
  if (found != nullptr) ::freeaddrinfo(found);
  if (!all) return 0;
  push_string(L, text);
  return 1;
}

// run_confined(words, input, seconds, memory, output) -> {status, output, reason}
int run_confined(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  std::vector<std::string> words;
  for (int i = 1; i <= static_cast<int>(lua_objlen(L, 1)); ++i) {
    lua_rawgeti(L, 1, i);
    words.push_back(string_at(L, -1));
    lua_pop(L, 1);
  }
  agents::ConfinedLimits limits;
  limits.seconds = luaL_checknumber(L, 3);
  limits.memory_bytes = static_cast<size_t>(luaL_checknumber(L, 4));
  limits.output_bytes = static_cast<size_t>(luaL_checknumber(L, 5));
  const auto outcome = agents::run_confined(words, string_at(L, 2), limits);
  lua_newtable(L);
  set_field(L, "status", outcome.status);
  set_field(L, "output", outcome.output);
  if (!outcome.reason.empty()) set_field(L, "reason", outcome.reason);
  return 1;
}

// sqlite({path, sql, parameters (JSON texts), max_rows, max_bytes, seconds}) -> JSON; see
// engine/api/serve.h
int sqlite(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  SqliteQuery q;
  q.path = text_field(L, 1, "path");
  q.sql = text_field(L, 1, "sql");
  q.parameters = texts_field(L, 1, "parameters");
  q.max_rows = static_cast<size_t>(number_field(L, 1, "max_rows", 100));
  q.max_bytes = static_cast<size_t>(number_field(L, 1, "max_bytes", 1 << 20));
  q.seconds = number_field(L, 1, "seconds", 5);
  push_string(L, serve_api().sqlite(q));
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_files(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kFunctions[] = {{"real_path", real_path},
                                     {"replace", replace},
                                     {"append", append},
                                     {"public_address", public_address},
                                     {"run_confined", run_confined},
                                     {"sqlite", sqlite},
                                     {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
