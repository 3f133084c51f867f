#include "bindings/logits_view.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/error_table.h"

namespace lm {
namespace {

constexpr const char* kLogits = "lm.Logits";
constexpr float kForbidden = -std::numeric_limits<float>::infinity();

struct View {
  std::span<float> values;
  bool open;
};

View& view_at(lua_State* L, int index) {
  auto& view = *static_cast<View*>(luaL_checkudata(L, index, kLogits));
  LM_CHECK(view.open, ErrorCode::bad_option,
           "these logits were valid during on_logits only; copy what you need while it runs");
  return view;
}

float& logit_at(lua_State* L, View& view, int index) {
  const double id = luaL_checknumber(L, index);
  LM_CHECK(id >= 0 && id < static_cast<double>(view.values.size()) && id == std::floor(id),
           ErrorCode::bad_option, "token id {} is outside the vocabulary 0..{}", id,
           view.values.size() - 1);
  return view.values[static_cast<size_t>(id)];
}

int index_of(lua_State* L) {
  View& view = view_at(L, 1);
  if (lua_type(L, 2) == LUA_TNUMBER) {
    lua_pushnumber(L, static_cast<lua_Number>(logit_at(L, view, 2)));
    return 1;
  }
  luaL_getmetafield(L, 1, "methods");
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

int set(lua_State* L) {
  logit_at(L, view_at(L, 1), 2) = static_cast<float>(luaL_checknumber(L, 3));
  return 0;
}

int add(lua_State* L) {
  logit_at(L, view_at(L, 1), 2) += static_cast<float>(luaL_checknumber(L, 3));
  return 0;
}

int len(lua_State* L) {
  lua_pushnumber(L, static_cast<lua_Number>(view_at(L, 1).values.size()));
  return 1;
}

// The logits of the ids in the table argument, as places in the buffer.
std::vector<float*> places(lua_State* L, View& view) {
  std::vector<float*> out;
  for (const int32_t id : ids_at(L, 2)) {
    lua_pushinteger(L, id);
    out.push_back(&logit_at(L, view, -1));
    lua_pop(L, 1);
  }
  return out;
}

int mask(lua_State* L) {
  for (float* logit : places(L, view_at(L, 1))) *logit = kForbidden;
  return 0;
}

int keep(lua_State* L) {
  View& view = view_at(L, 1);
  std::vector<std::pair<float*, float>> kept;
  for (float* logit : places(L, view)) kept.emplace_back(logit, *logit);
  std::fill(view.values.begin(), view.values.end(), kForbidden);
  for (const auto& [place, logit] : kept) *place = logit;
  return 0;
}

int top(lua_State* L) {
  const View& view = view_at(L, 1);
  const auto n = std::clamp<int64_t>(static_cast<int64_t>(luaL_checknumber(L, 2)), 0,
                                     static_cast<int64_t>(view.values.size()));
  std::vector<int32_t> ids(view.values.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::partial_sort(ids.begin(), ids.begin() + n, ids.end(), [&](int32_t a, int32_t b) {
    const float za = view.values[static_cast<size_t>(a)], zb = view.values[static_cast<size_t>(b)];
    return za != zb ? za > zb : a < b;
  });
  lua_newtable(L);
  for (int i = 0; i < static_cast<int>(n); ++i) {
    const int32_t id = ids[static_cast<size_t>(i)];
    lua_newtable(L);
    set_field(L, "id", static_cast<int64_t>(id));
    set_field(L, "logit", static_cast<double>(view.values[static_cast<size_t>(id)]));
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

struct Closing {
  View& view;
  ~Closing() { view.open = false; }
};

}  // namespace

void register_logits_view(lua_State* L) {
  luaL_newmetatable(L, kLogits);
  constexpr luaL_Reg kMeta[] = {
      {"__index", index_of}, {"__newindex", set}, {"__len", len}, {nullptr, nullptr}};
  luaL_register(L, nullptr, kMeta);
  set_field(L, "__name", kLogits);
  constexpr luaL_Reg kMethods[] = {{"len", len},   {"add", add}, {"set", set},      {"mask", mask},
                                   {"keep", keep}, {"top", top}, {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kMethods);
  lua_setfield(L, -2, "methods");
  lua_pop(L, 1);
}

LogitsHook lua_logits_hook(lua_State* L, int index) {
  return [L, index](std::span<const int32_t> ids, std::span<float> logits) {
    lua_pushvalue(L, index);
    push_numbers(L, ids.data(), ids.size());
    auto* view = static_cast<View*>(lua_newuserdata(L, sizeof(View)));
    new (view) View{logits, true};
    luaL_getmetatable(L, kLogits);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_insert(L, -4);  // stays below the call: the view must live until it is closed
    const Closing closing{*view};
    protected_call(L, 2, 0);
    lua_pop(L, 1);
  };
}

}  // namespace lm
