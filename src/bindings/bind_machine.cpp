// The Lua module lm.engine.machine: what this machine can do, and the door to the training engine.
#include <lua.hpp>

#include "bindings/bind.h"
#include "engine/api/gpu.h"
#include "engine/api/machine.h"
#include "engine/api/train.h"
#include "runtime/stdlib.h"

namespace lm {
namespace {

int info(lua_State* L) {
  const MachineInfo m = machine_info();
  lua_newtable(L);
  set_field(L, "cpu", m.cpu);
  set_field(L, "features", m.features);
  set_field(L, "kernels", m.kernels);
  set_field(L, "cores", m.cores);
  set_field(L, "threads", m.threads);
  set_field(L, "memory_bytes", static_cast<double>(m.memory_bytes));
  set_field(L, "free_bytes", static_cast<double>(m.free_bytes));
  if (!m.gpu.empty()) set_field(L, "gpu", m.gpu);
  return 1;
}

int rss(lua_State* L) {
  lua_pushnumber(L, static_cast<lua_Number>(rss_bytes()));
  return 1;
}

// limit_threads(n) -> the limit before; 0: none
int threads(lua_State* L) {
  lua_pushnumber(L, limit_threads(static_cast<int>(luaL_checkinteger(L, 1))));
  return 1;
}

// read_bandwidth(seconds) -> bytes per second
int read_bandwidth(lua_State* L) {
  lua_pushnumber(L, measure_read_bandwidth(luaL_checknumber(L, 1)));
  return 1;
}

// torch() -> {version, threads, cuda}; opens the training engine
int torch(lua_State* L) {
  const TorchInfo t = train_api().torch_info();
  lua_newtable(L);
  set_field(L, "version", t.version);
  set_field(L, "threads", t.threads);
  set_field(L, "cuda", t.cuda);
  return 1;
}

// torch_matmul(n, seconds) -> GFLOP/s; opens the training engine
int torch_matmul(lua_State* L) {
  const auto n = static_cast<int64_t>(luaL_checknumber(L, 1));
  lua_pushnumber(L, train_api().matmul_gflops(n, luaL_checknumber(L, 2)));
  return 1;
}

int torch_loaded(lua_State* L) {
  lua_pushboolean(L, train_api_loaded());
  return 1;
}

// gpus() -> list of {name, capability, multiprocessors, memory_bytes, free_bytes, copy_bandwidth};
// opens the GPU library
int gpus(lua_State* L) {
  const auto list = gpu_api().devices();
  lua_newtable(L);
  for (size_t i = 0; i < list.size(); ++i) {
    lua_newtable(L);
    set_field(L, "name", list[i].name);
    set_field(L, "capability", std::to_string(list[i].major) + "." + std::to_string(list[i].minor));
    set_field(L, "multiprocessors", list[i].multiprocessors);
    set_field(L, "memory_bytes", static_cast<double>(list[i].memory_bytes));
    set_field(L, "free_bytes", static_cast<double>(list[i].free_bytes));
    set_field(L, "copy_bandwidth",
              gpu_api().copy_bandwidth(static_cast<int>(i), int64_t{256} << 20));
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

// dependencies() -> the text of scripts/dependencies.tsv
int dependencies(lua_State* L) {
  push_string(L, find_embedded("scripts/dependencies.tsv").value_or(""));
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_machine(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kFunctions[] = {{"info", info},
                                     {"rss_bytes", rss},
                                     {"limit_threads", threads},
                                     {"read_bandwidth", read_bandwidth},
                                     {"torch", torch},
                                     {"torch_matmul", torch_matmul},
                                     {"torch_loaded", torch_loaded},
                                     {"gpus", gpus},
                                     {"dependencies", dependencies},
                                     {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
