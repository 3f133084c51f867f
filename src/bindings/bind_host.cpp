#include "bindings/bind_host.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/external_bytes.h"
#include "engine/core/error.h"
#include "engine/core/interrupt.h"
#include "runtime/console.h"
#include "runtime/event_loop.h"
#include "runtime/interrupt.h"
#include "runtime/jobs.h"
#include "runtime/log.h"
#include "runtime/options.h"
#include "runtime/process.h"
#include "runtime/shutdown.h"
#include "runtime/stdlib.h"

#ifndef LM_COMMIT
#define LM_COMMIT "unknown"
#endif

namespace lm {
namespace {

std::string_view check_text(lua_State* L, int index) {
  size_t size = 0;
  const char* text = luaL_checklstring(L, index, &size);
  return {text, size};
}

void push_text(lua_State* L, std::string_view text) {
  lua_pushlstring(L, text.data(), text.size());
}

int host_write(lua_State* L) {
  console().write(check_text(L, 1));
  return 0;
}

int host_write_err(lua_State* L) {
  console().write_err(check_text(L, 1));
  return 0;
}

int host_flush(lua_State*) {
  console().flush();
  return 0;
}

int host_columns(lua_State* L) {
  lua_pushinteger(L, console().columns());
  return 1;
}

int host_is_tty(lua_State* L) {
  lua_pushboolean(L, console().out_is_tty());
  return 1;
}

int host_colors(lua_State* L) {
  lua_pushboolean(L, console().colors());
  return 1;
}

int host_progress(lua_State* L) {
  const std::string text(check_text(L, 1));
  if (!current_job()) console().set_progress(text);  // a job's progress is in its status line
  return 0;
}

int host_now(lua_State* L) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  lua_pushnumber(L, std::chrono::duration<double>(now).count());
  return 1;
}

int host_interrupt_pending(lua_State* L) {
  lua_pushboolean(L, interrupt_pending());
  return 1;
}

int host_interrupt_clear(lua_State*) {
  if (main_loop().on_main_thread()) clear_interrupt();
  return 0;
}

int host_pump(lua_State*) {
  if (main_loop().on_main_thread()) main_loop().pump();
  check_interrupt();
  return 0;
}

int host_stdlib_source(lua_State* L) {
  const auto file = find_stdlib(check_text(L, 1));
  if (!file) {
    lua_pushnil(L);
    return 1;
  }
  push_text(L, file->text);
  push_text(L, file->path);
  return 2;
}

int host_stdlib_list(lua_State* L) {
  const std::vector<std::string> names = stdlib_modules();
  lua_createtable(L, static_cast<int>(names.size()), 0);
  for (size_t i = 0; i < names.size(); ++i) {
    push_text(L, names[i]);
    lua_rawseti(L, -2, static_cast<int>(i + 1));
  }
  return 1;
}

// The text of a compiled-in file outside the standard library, or nil.
int host_resource(lua_State* L) {
  const auto text = find_embedded(check_text(L, 1));
  if (text)
    push_text(L, *text);
  else
    lua_pushnil(L);
  return 1;
}

int host_list_dir(lua_State* L) {
  namespace fs = std::filesystem;
  struct Entry {
    std::string name;
    bool dir;
  };
  const std::string path(check_text(L, 1));
  std::vector<Entry> entries;
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    entries.push_back({it->path().filename().string(), it->is_directory(ignored)});
  }
  if (error) {
    lua_pushnil(L);
    push_text(L, "list_dir: \"" + path + "\": " + error.message());
    return 2;
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  lua_createtable(L, static_cast<int>(entries.size()), 0);
  for (size_t i = 0; i < entries.size(); ++i) {
    lua_createtable(L, 0, 2);
    push_text(L, entries[i].name);
    lua_setfield(L, -2, "name");
    lua_pushboolean(L, entries[i].dir);
    lua_setfield(L, -2, "dir");
    lua_rawseti(L, -2, static_cast<int>(i + 1));
  }
  return 1;
}

int host_edit(lua_State* L) {
  const std::string text(check_text(L, 1));
  try {
    push_text(L, edit_text(text));
    return 1;
  } catch (const Error& error) {
    lua_pushnil(L);
    push_text(L, error.message());
    return 2;
  }
}

int host_shell(lua_State* L) {
  lua_pushinteger(L, run_shell(std::string(check_text(L, 1))));
  return 1;
}

int exit_code(lua_State* L) {
  if (lua_isboolean(L, 1)) return lua_toboolean(L, 1) ? 0 : 1;
  return static_cast<int>(luaL_optinteger(L, 1, 0)) & 0xff;
}

int host_quit(lua_State* L) {
  request_quit(exit_code(L));
  return 0;
}

// os.exit: ends the process in order, at once.
int host_exit(lua_State* L) {
  const int code = exit_code(L);
  if (!main_loop().on_main_thread())
    throw Error(ErrorCode::unsupported, "os.exit: a job cannot end the process",
                "return from the job's function");
  end_process(code);
}

int host_log_level(lua_State* L) {
  const std::string previous = log_level_name(log_level());
  if (!lua_isnoneornil(L, 1)) set_log_level(std::string(check_text(L, 1)));
  push_text(L, previous);
  return 1;
}

int host_mem(lua_State* L) {
  lua_createtable(L, 0, 3);
  lua_pushnumber(L, static_cast<double>(resident_bytes()));
  lua_setfield(L, -2, "rss");
  lua_pushnumber(L, lua_gc(L, LUA_GCCOUNT, 0) * 1024.0 + lua_gc(L, LUA_GCCOUNTB, 0));
  lua_setfield(L, -2, "lua");
  const std::vector<HandleStats> handles = handle_stats();
  lua_createtable(L, static_cast<int>(handles.size()), 0);
  for (size_t i = 0; i < handles.size(); ++i) {
    lua_createtable(L, 0, 3);
    push_text(L, handles[i].type);
    lua_setfield(L, -2, "type");
    lua_pushnumber(L, static_cast<double>(handles[i].count));
    lua_setfield(L, -2, "count");
    lua_pushnumber(L, static_cast<double>(handles[i].bytes));
    lua_setfield(L, -2, "bytes");
    lua_rawseti(L, -2, static_cast<int>(i + 1));
  }
  lua_setfield(L, -2, "handles");
  return 1;
}

constexpr luaL_Reg kFunctions[] = {{"write", host_write},
                                   {"write_err", host_write_err},
                                   {"flush", host_flush},
                                   {"columns", host_columns},
                                   {"is_tty", host_is_tty},
                                   {"colors", host_colors},
                                   {"progress", host_progress},
                                   {"now", host_now},
                                   {"interrupt_pending", host_interrupt_pending},
                                   {"interrupt_clear", host_interrupt_clear},
                                   {"pump", host_pump},
                                   {"stdlib_source", host_stdlib_source},
                                   {"stdlib_list", host_stdlib_list},
                                   {"resource", host_resource},
                                   {"list_dir", host_list_dir},
                                   {"edit", host_edit},
                                   {"shell", host_shell},
                                   {"quit", host_quit},
                                   {"exit", host_exit},
                                   {"log_level", host_log_level},
                                   {"mem", host_mem},
                                   {nullptr, nullptr}};

void set_flag(lua_State* L, const char* name, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, name);
}

void add_constants(lua_State* L) {
  lua_pushliteral(L, LM_VERSION);
  lua_setfield(L, -2, "version");
  lua_createtable(L, 0, 3);
  lua_pushliteral(L, LM_COMMIT);
  lua_setfield(L, -2, "commit");
#ifdef LM_HAVE_TRAIN
  set_flag(L, "train", true);
#else
  set_flag(L, "train", false);
#endif
#ifdef LM_HAVE_CUDA
  set_flag(L, "cuda", true);
#else
  set_flag(L, "cuda", false);
#endif
  lua_setfield(L, -2, "build");
  // What the command line asked of the output.
  lua_createtable(L, 0, 3);
  set_flag(L, "json", options().json);
  set_flag(L, "quiet", options().quiet);
  set_flag(L, "interactive", options().interactive);
  lua_setfield(L, -2, "options");
}

}  // namespace

int open_host(lua_State* L) {
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  add_job_functions(L);
  add_constants(L);
  return 1;
}

}  // namespace lm
