// The Lua module lm.engine.hub: repositories of the Hub, downloads, wheels. The functions users see
// are in lua/stdlib/lm/pull.lua and models.lua.
#include <lua.hpp>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/error_table.h"
#include "engine/api/hub.h"

namespace lm {
namespace {

std::string text_field(lua_State* L, int index, const char* name, const char* fallback = "") {
  lua_getfield(L, index, name);
  size_t size = 0;
  const char* text = lua_tolstring(L, -1, &size);
  std::string value = text ? std::string(text, size) : fallback;
  lua_pop(L, 1);
  return value;
}

HubRepo repo_at(lua_State* L, int index) {
  return {string_at(L, index), luaL_optstring(L, index + 1, "main")};
}

// Calls the function at `index` with a table about the progress; nothing when there is none.
DownloadOptions options_at(lua_State* L, int index, int callback) {
  DownloadOptions o;
  if (lua_istable(L, index)) {
    o.connections = static_cast<int>(number_field(L, index, "connections", o.connections));
    o.retries = static_cast<int>(number_field(L, index, "retries", o.retries));
    o.part_bytes = static_cast<int64_t>(
        number_field(L, index, "part_bytes", static_cast<double>(o.part_bytes)));
  }
  LM_CHECK(o.connections >= 1 && o.connections <= 64 && o.retries >= 0 && o.retries <= 1000 &&
               o.part_bytes > 0,
           ErrorCode::bad_option, "connections {}, retries {}, part_bytes {}: out of range",
           o.connections, o.retries, o.part_bytes);
  if (lua_isfunction(L, callback))
    o.progress = [L, callback](const DownloadProgress& p) {
      lua_pushvalue(L, callback);
      lua_newtable(L);
      set_field(L, "done", p.done);
      set_field(L, "total", p.total);
      set_field(L, "bytes_per_s", p.bytes_per_s);
      if (p.eta_s >= 0) set_field(L, "eta_s", p.eta_s);
      set_field(L, "state", p.state);
      protected_call(L, 1, 0);
    };
  return o;
}

void push_files(lua_State* L, const std::vector<HubFile>& files) {
  lua_createtable(L, static_cast<int>(files.size()), 0);
  for (size_t i = 0; i < files.size(); ++i) {
    lua_createtable(L, 0, 4);
    set_field(L, "path", files[i].path);
    if (files[i].size >= 0) set_field(L, "bytes", files[i].size);
    set_field(L, "etag", files[i].etag);
    set_field(L, "sha256", files[i].sha256);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  lua_setfield(L, -2, "files");
}

// settings() -> {endpoint, cache, offline, has_token}
int settings(lua_State* L) {
  const HubSettings s = hub_settings();
  lua_newtable(L);
  set_field(L, "endpoint", s.endpoint);
  set_field(L, "cache", s.cache);
  set_field(L, "offline", s.offline);
  set_field(L, "has_token", !s.token.empty());
  return 1;
}

// list(id, revision, retries) -> {commit, license, license_link, gated, files = {{path, bytes,
// etag, sha256}}}
int list(lua_State* L) {
  const HubListing listing =
      list_hub_repo(repo_at(L, 1), hub_settings(), static_cast<int>(luaL_optinteger(L, 3, 5)));
  lua_newtable(L);
  set_field(L, "commit", listing.commit);
  set_field(L, "license", listing.license);
  set_field(L, "license_link", listing.license_link);
  set_field(L, "gated", listing.gated);
  push_files(L, listing.files);
  return 1;
}

// cached(id, revision) -> {folder, commit, files} or nil
int cached(lua_State* L) {
  const auto snapshot = cached_hub_snapshot(repo_at(L, 1), hub_settings());
  if (!snapshot) return 0;
  lua_newtable(L);
  set_field(L, "folder", snapshot->folder);
  set_field(L, "commit", snapshot->commit);
  push_files(L, snapshot->files);
  return 1;
}

// fetch(id, revision, {commit, files}, options, on_progress) -> folder
int fetch(lua_State* L) {
  const HubRepo repo = repo_at(L, 1);
  luaL_checktype(L, 3, LUA_TTABLE);
  HubListing listing;
  listing.commit = text_field(L, 3, "commit");
  lua_getfield(L, 3, "files");
  luaL_checktype(L, -1, LUA_TTABLE);
  const int files = lua_gettop(L);
  for (int i = 1, n = static_cast<int>(lua_objlen(L, files)); i <= n; ++i) {
    lua_rawgeti(L, files, i);
    luaL_checktype(L, -1, LUA_TTABLE);
    const int at = lua_gettop(L);
    HubFile file;
    file.path = text_field(L, at, "path");
    file.size = static_cast<int64_t>(number_field(L, at, "bytes", -1));
    file.etag = text_field(L, at, "etag");
    file.sha256 = text_field(L, at, "sha256");
    listing.files.push_back(std::move(file));
    lua_pop(L, 1);
  }
  push_string(L, fetch_hub_files(repo, listing, hub_settings(), options_at(L, 4, 5)));
  return 1;
}

// download(url, to, sha256, options, on_progress)
int download(lua_State* L) {
  download_file(string_at(L, 1), string_at(L, 2), luaL_optstring(L, 3, ""), options_at(L, 4, 5));
  return 0;
}

// sha256(path) -> hexadecimal digits
int sha256(lua_State* L) {
  push_string(L, file_sha256(string_at(L, 1)));
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_hub(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kFunctions[] = {
      {"settings", settings}, {"list", list},     {"cached", cached}, {"fetch", fetch},
      {"download", download}, {"sha256", sha256}, {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
