// The Lua module lm.engine.model: models as handles (what runs them is lm.engine.generate). The
// functions users see (checked options, defaults, docs) are Lua's, in lua/stdlib/lm/model.lua,
// which also fills the methods of "lm.Model".
#include <lua.hpp>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/error_table.h"
#include "bindings/shared_handle.h"
#include "engine/api/model.h"
#include "engine/api/plan.h"
#include "engine/core/error.h"
#include "engine/kernels/cpu/to_f32.h"
#include "engine/models/adapters.h"
#include "engine/models/arch.h"
#include "engine/quant/quantize.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace {

// What lm.load's options say of the memory.
LoadOptions load_options(lua_State* L, int index) {
  luaL_checktype(L, index, LUA_TTABLE);
  LoadOptions options;
  options.precision = text_field(L, index, "precision", options.precision);
  options.kv_cache = text_field(L, index, "kv_cache", options.kv_cache);
  options.mlock = flag_field(L, index, "mlock");
  options.kv_cache_tokens = static_cast<int64_t>(number_field(L, index, "kv_cache_tokens", 0));
  return options;
}

// load(path, options, on_progress or nil) -> model. on_progress(fraction) runs between layers.
int load(lua_State* L) {
  const std::string path = string_at(L, 1);
  LoadOptions options = load_options(L, 2);
  if (lua_isfunction(L, 3))
    options.progress = [L](double fraction) {
      lua_pushvalue(L, 3);
      lua_pushnumber(L, fraction);
      protected_call(L, 1, 0);
    };
  const auto model = allocate_or_collect(L, [&] { return Model::load(path, options); });
  push_shared(L, kModel, model, static_cast<size_t>(model->info().memory_bytes));
  return 1;
}

// plan(path, options, context, batch) -> table of bytes
int plan(lua_State* L) {
  const std::string path = string_at(L, 1);
  const LoadOptions options = load_options(L, 2);
  const MemoryPlan p = plan_memory(path, options, static_cast<int64_t>(luaL_checknumber(L, 3)),
                                   static_cast<int64_t>(luaL_checknumber(L, 4)));
  lua_newtable(L);
  set_field(L, "weights", p.weights);
  set_field(L, "kv_cache", p.kv_cache);
  set_field(L, "state", p.state);
  set_field(L, "scratch", p.scratch);
  set_field(L, "logits", p.logits);
  set_field(L, "program", p.program);
  set_field(L, "total", p.total);
  set_field(L, "context", p.context);
  set_field(L, "batch", p.batch);
  set_field(L, "kv_bytes_per_token", p.kv_bytes_per_token);
  set_field(L, "free_bytes", p.free_bytes);
  return 1;
}

int info(lua_State* L) {
  const auto model = check_model(L, 1);
  const ModelInfo& i = model->info();
  lua_newtable(L);
  set_field(L, "name", i.name);
  set_field(L, "path", i.path);
  set_field(L, "architecture", i.architecture);
  set_field(L, "format", i.format);
  set_field(L, "dtype", i.dtype);
  set_field(L, "precision", i.precision);
  set_field(L, "kv_cache", i.kv_cache);
  set_field(L, "tokenizer", i.tokenizer);
  if (!i.warning.empty()) set_field(L, "warning", i.warning);
  set_field(L, "n_params", i.n_params);
  set_field(L, "file_bytes", i.file_bytes);
  set_field(L, "memory_bytes", i.memory_bytes);
  set_field(L, "n_layers", i.n_layers);
  set_field(L, "hidden_size", i.hidden_size);
  set_field(L, "n_heads", i.n_heads);
  set_field(L, "n_kv_heads", i.n_kv_heads);
  set_field(L, "head_dim", i.head_dim);
  set_field(L, "ffn_size", i.ffn_size);
  set_field(L, "vocab_size", i.vocab_size);
  set_field(L, "context_length", i.context_length);
  set_field(L, "kv_bytes_per_token", i.kv_bytes_per_token);
  set_field(L, "has_chat_template", i.has_chat_template);
  const Tokenizer& t = *model->tokenizer();
  if (t.bos() >= 0) set_field(L, "bos", static_cast<int64_t>(t.bos()));
  push_numbers(L, t.eos().data(), t.eos().size());
  lua_setfield(L, -2, "eos");
  return 1;
}

// tokenize(model, text, add_special, parse_special) -> ids
int tokenize(lua_State* L) {
  const auto model = check_model(L, 1);
  const auto ids = model->tokenizer()->encode(string_at(L, 2),
                                              {lua_toboolean(L, 3) != 0, lua_toboolean(L, 4) != 0});
  push_numbers(L, ids.data(), ids.size());
  return 1;
}

// detokenize(model, ids, skip_special) -> text
int detokenize(lua_State* L) {
  const auto model = check_model(L, 1);
  push_string(L, model->tokenizer()->decode(ids_at(L, 2), lua_toboolean(L, 3) != 0));
  return 1;
}

// token_text(model, id) -> the token as its file spells it
int token_text(lua_State* L) {
  const auto model = check_model(L, 1);
  push_string(L, model->tokenizer()->token_text(static_cast<int32_t>(luaL_checkinteger(L, 2))));
  return 1;
}

// token_bytes(model, id) -> what the token adds inside a text; may be a part of a character
int token_bytes(lua_State* L) {
  const auto model = check_model(L, 1);
  push_string(L, model->tokenizer()->token_bytes(static_cast<int32_t>(luaL_checkinteger(L, 2))));
  return 1;
}

// render(model, messages_json, tools_json, add_generation_prompt, extra_json) -> text
int render(lua_State* L) {
  const auto model = check_model(L, 1);
  LM_CHECK(model->chat_template(), ErrorCode::unsupported,
           "the model \"{}\" has no chat template; use generate with a plain prompt",
           model->info().name);
  ChatInput input;
  input.messages = string_at(L, 2);
  input.tools = luaL_optstring(L, 3, "");
  input.add_generation_prompt = lua_toboolean(L, 4) != 0;
  input.extra = luaL_optstring(L, 5, "");
  const Tokenizer& t = *model->tokenizer();
  if (t.bos() >= 0) input.bos_token = t.token_text(t.bos());
  if (!t.eos().empty()) input.eos_token = t.token_text(t.eos()[0]);
  push_string(L, model->chat_template()->render(input));
  return 1;
}

// add_adapter(model, path, name, scale)
int add_adapter(lua_State* L) {
  const auto model = check_model(L, 1);
  model->add_adapter(string_at(L, 2), string_at(L, 3), luaL_checknumber(L, 4));
  return 0;
}

// remove_adapter(model, name)
int remove_adapter(lua_State* L) {
  check_model(L, 1)->remove_adapter(string_at(L, 2));
  return 0;
}

// adapters(model) -> list of {name, format, scale, n_params}
int adapters(lua_State* L) {
  const auto set = check_model(L, 1)->adapters();
  lua_newtable(L);
  for (size_t i = 0; set && i < set->adapters.size(); ++i) {
    const LoadedAdapter& a = *set->adapters[i];
    lua_newtable(L);
    set_field(L, "name", a.name);
    set_field(L, "format", a.format);
    set_field(L, "path", a.path);
    set_field(L, "scale", static_cast<double>(a.scale));
    set_field(L, "n_params", a.n_params);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

// lists() -> {architectures = {{name, families, model_types}, ...}, types = {{name, block,
// block_bytes, ggml_id or nil, weights: can be computed with, written: can be converted to}, ...}}
int lists(lua_State* L) {
  const auto append = [L] { lua_rawseti(L, -2, static_cast<int>(lua_objlen(L, -2)) + 1); };
  lua_newtable(L);
  lua_newtable(L);
  for (const Arch* arch : all_archs()) {
    lua_newtable(L);
    set_field(L, "name", std::string(arch->name));
    set_field(L, "families", std::string(arch->families));
    lua_newtable(L);
    for (const char* type : arch->model_types) {
      lua_pushstring(L, type);
      append();
    }
    lua_setfield(L, -2, "model_types");
    append();
  }
  lua_setfield(L, -2, "architectures");
  lua_newtable(L);
  for (int i = 0; i < n_dtypes(); ++i) {
    const auto type = static_cast<DType>(i);
    const DTypeInfo& info = dtype_info(type);
    lua_newtable(L);
    set_field(L, "name", std::string(info.name));
    set_field(L, "block", int64_t{info.block});
    set_field(L, "block_bytes", int64_t{info.block_bytes});
    if (info.ggml_id >= 0) set_field(L, "ggml_id", int64_t{info.ggml_id});
    set_field(L, "weights", to_f32_supported(type));
    set_field(L, "written", quantize_supported(type));
    append();
  }
  lua_setfield(L, -2, "types");
  return 1;
}

// A handle that arrives in a worker state finds no methods yet: the first use of one loads the
// module that defines them.
int load_methods(lua_State* L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "lm.model");
  lua_call(L, 1, 0);
  lua_pushvalue(L, 2);
  lua_rawget(L, 1);
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_model(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kNone[] = {{nullptr, nullptr}};
  constexpr luaL_Reg kFunctions[] = {{"load", load},
                                     {"plan", plan},
                                     {"info", info},
                                     {"tokenize", tokenize},
                                     {"detokenize", detokenize},
                                     {"token_text", token_text},
                                     {"token_bytes", token_bytes},
                                     {"render", render},
                                     {"add_adapter", add_adapter},
                                     {"remove_adapter", remove_adapter},
                                     {"adapters", adapters},
                                     {"lists", lists},
                                     {"free", free_shared},
                                     {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  new_shared_type(L, kModel, kNone);  // on the stack: its metatable
  lua_getfield(L, -1, "__index");
  lua_newtable(L);
  lua_pushcfunction(L, load_methods);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_setfield(L, -3, "model_methods");
  lua_setfield(L, -2, "model_meta");
  return 1;
}
