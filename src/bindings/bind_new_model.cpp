// The Lua module lm.engine.new_model: models to be trained from nothing, and room for new tokens.
#include <lua.hpp>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/error_table.h"
#include "engine/api/new_model.h"

namespace lm {
namespace {

int64_t whole_field(lua_State* L, int index, const char* name, int64_t fallback) {
  return static_cast<int64_t>(number_field(L, index, name, static_cast<double>(fallback)));
}

// write({shape = {...}, tokenizer, like, seed, folder}) -> n_parameters, vocab_size
int write(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  NewModelOptions o;
  o.tokenizer = text_field(L, 1, "tokenizer", "");
  o.like = text_field(L, 1, "like", "");
  o.folder = text_field(L, 1, "folder");
  o.seed = static_cast<uint64_t>(whole_field(L, 1, "seed", 42));
  lua_getfield(L, 1, "shape");
  if (lua_istable(L, -1)) {
    const int at = lua_gettop(L);
    ModelShape& s = o.shape;
    s.architecture = text_field(L, at, "architecture", "llama");
    s.hidden_size = whole_field(L, at, "hidden_size", 0);
    s.n_layers = whole_field(L, at, "n_layers", 0);
    s.n_heads = whole_field(L, at, "n_heads", 0);
    s.n_kv_heads = whole_field(L, at, "n_kv_heads", 0);
    s.head_dim = whole_field(L, at, "head_dim", 0);
    s.ffn_size = whole_field(L, at, "ffn_size", 0);
    s.context_length = whole_field(L, at, "context_length", 0);
    s.rope_theta = number_field(L, at, "rope_theta", s.rope_theta);
    lua_getfield(L, at, "tie_embeddings");
    if (!lua_isnil(L, -1)) s.tie_embeddings = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  const NewModelResult r = write_new_model(o);
  lua_pushnumber(L, static_cast<lua_Number>(r.n_parameters));
  lua_pushnumber(L, static_cast<lua_Number>(r.vocab_size));
  return 2;
}

// add_tokens(model, tokens, folder) -> how many are new
int add_tokens(lua_State* L) {
  lua_newtable(L);
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "tokens");
  lua_pushnumber(L,
                 static_cast<lua_Number>(write_with_new_tokens(
                     string_at(L, 1), texts_field(L, lua_gettop(L), "tokens"), string_at(L, 3))));
  return 1;
}

// architectures() -> names that a shape may have
int architectures(lua_State* L) {
  lua_newtable(L);
  int i = 0;
  for (const char* name : new_model_architectures()) {
    push_string(L, name);
    lua_rawseti(L, -2, ++i);
  }
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_new_model(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kFunctions[] = {{"write", write},
                                     {"add_tokens", add_tokens},
                                     {"architectures", architectures},
                                     {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
