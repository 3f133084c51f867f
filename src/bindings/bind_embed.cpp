// The Lua module lm.engine.embed: vectors and scores of texts. The functions users see are Lua's,
// in lua/stdlib/lm/embed.lua.
#include <algorithm>
#include <lua.hpp>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/error_table.h"
#include "bindings/shared_handle.h"
#include "engine/api/embed.h"
#include "engine/core/error.h"
#include "engine/models/model_spec.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace {

constexpr const char* kEmbedder = "lm.Embedder";

// What a handle holds.
struct TextEncoder {
  std::shared_ptr<const Model> model;
  Embedder embedder;
  explicit TextEncoder(std::shared_ptr<const Model> m) : model(m), embedder(std::move(m)) {}
};

// Cuts the text's own tokens so that everything fits; special tokens around them stay.
void truncate(std::vector<int32_t>& ids, const std::vector<int32_t>& plain, size_t most) {
  if (ids.size() <= most) return;
  const size_t extra = ids.size() - most;
  const auto own = std::search(ids.begin(), ids.end(), plain.begin(), plain.end());
  const auto end = own == ids.end() ? ids.end() : own + static_cast<std::ptrdiff_t>(plain.size());
  ids.erase(end - static_cast<std::ptrdiff_t>(std::min(extra, plain.size())), end);
}

// One entry of a list: a text or token ids.
TextInput text_at(lua_State* L, int list, int i, const TextEncoder& e, bool cut) {
  TextInput out;
  lua_rawgeti(L, list, i);
  if (lua_istable(L, -1)) {
    out.ids = ids_at(L, lua_gettop(L));
  } else {
    const std::string text = string_at(L, -1);
    out.ids = e.model->tokenizer()->encode(text);
    if (cut)
      truncate(out.ids, e.model->tokenizer()->encode(text, {false, false}),
               static_cast<size_t>(e.model->info().context_length));
  }
  lua_pop(L, 1);
  return out;
}

void push_vectors(lua_State* L, const std::vector<std::vector<float>>& vectors) {
  lua_createtable(L, static_cast<int>(vectors.size()), 0);
  for (size_t i = 0; i < vectors.size(); ++i) {
    push_numbers(L, vectors[i].data(), vectors[i].size());
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
}

// embedder(model) -> handle
int embedder(lua_State* L) {
  const auto model = check_model(L, 1);
  push_shared(L, kEmbedder, std::make_shared<TextEncoder>(model), 4096);
  return 1;
}

PoolingChoice pooling_of(const std::string& name) {
  if (name == "mean") return PoolingChoice::mean;
  if (name == "cls") return PoolingChoice::cls;
  if (name == "last") return PoolingChoice::last;
  return PoolingChoice::model;
}

// embed(handle, list of texts or ids, pooling, normalize or nil, dimensions, truncate) -> list of
// vectors
int embed(lua_State* L) {
  const auto e = check_shared<TextEncoder>(L, 1, kEmbedder);
  luaL_checktype(L, 2, LUA_TTABLE);
  EmbedOptions options;
  options.pooling = pooling_of(luaL_optstring(L, 3, ""));
  if (!lua_isnoneornil(L, 4)) options.normalize = lua_toboolean(L, 4) != 0;
  options.dimensions = static_cast<int64_t>(luaL_optnumber(L, 5, 0));
  std::vector<TextInput> texts;
  for (int i = 1; i <= static_cast<int>(lua_objlen(L, 2)); ++i)
    texts.push_back(text_at(L, 2, i, *e, lua_toboolean(L, 6) != 0));
  push_vectors(L, e->embedder.embed(texts, options));
  return 1;
}

// scores(handle, query or nil, list of texts, truncate) -> list of lists of the head's outputs.
// With a query, each text is the second of a pair.
int scores(lua_State* L) {
  const auto e = check_shared<TextEncoder>(L, 1, kEmbedder);
  const bool pairs = !lua_isnoneornil(L, 2), cut = lua_toboolean(L, 4) != 0;
  const std::string query = pairs ? string_at(L, 2) : "";
  const auto most = static_cast<size_t>(e->model->info().context_length);
  luaL_checktype(L, 3, LUA_TTABLE);
  std::vector<TextInput> texts;
  for (int i = 1; i <= static_cast<int>(lua_objlen(L, 3)); ++i) {
    if (!pairs) {
      texts.push_back(text_at(L, 3, i, *e, cut));
      continue;
    }
    lua_rawgeti(L, 3, i);
    const std::string document = string_at(L, -1);
    lua_pop(L, 1);
    EncodedPair pair = e->model->tokenizer()->encode_pair(query, document);
    if (cut && pair.ids.size() > most) {  // the query stays, the document is cut
      const auto plain = e->model->tokenizer()->encode(document, {false, false});
      truncate(pair.ids, plain, most);
      pair.type_ids.resize(pair.ids.size(), pair.type_ids.back());
    }
    texts.push_back({std::move(pair.ids), std::move(pair.type_ids)});
  }
  push_vectors(L, e->embedder.scores(texts));
  return 1;
}

// has_head(model) -> whether scores() works
int has_head(lua_State* L) {
  lua_pushboolean(L, check_model(L, 1)->spec().head.has_value());
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_embed(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kNone[] = {{nullptr, nullptr}};
  new_shared_type(L, kEmbedder, kNone);
  lua_pop(L, 1);
  constexpr luaL_Reg kFunctions[] = {{"embedder", embedder},
                                     {"embed", embed},
                                     {"scores", scores},
                                     {"has_head", has_head},
                                     {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
