// The Lua module lm.engine.model: models, contexts and generations as handles. The functions users
// see (checked options, defaults, docs) are Lua's, in lua/stdlib/lm/model.lua, which also fills the
// methods of "lm.Model".
#include <lua.hpp>

#include "bindings/bind.h"
#include "bindings/error_table.h"
#include "bindings/shared_handle.h"
#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/infer/sampler/sampler.h"
#include "engine/models/arch.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace {

constexpr const char* kModel = "lm.Model";
constexpr const char* kContext = "lm.Context";
constexpr const char* kGeneration = "lm.Generation";

std::shared_ptr<const Model> check_model(lua_State* L, int index) {
  return check_shared<const Model>(L, index, kModel);
}

std::string string_at(lua_State* L, int index) {
  size_t size = 0;
  const char* text = luaL_checklstring(L, index, &size);
  return {text, size};
}

std::vector<int32_t> ids_at(lua_State* L, int index) {
  luaL_checktype(L, index, LUA_TTABLE);
  std::vector<int32_t> ids(lua_objlen(L, index));
  for (size_t i = 0; i < ids.size(); ++i) {
    lua_rawgeti(L, index, static_cast<int>(i) + 1);
    const double value = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : -1.0;
    LM_CHECK(value >= 0 && value < 2147483648.0 &&
                 value == static_cast<double>(static_cast<int32_t>(value)),
             ErrorCode::bad_option, "token {} is {}; expected a token id", i + 1,
             lua_isnumber(L, -1) ? fmt::format("{}", value) : luaL_typename(L, -1));
    ids[i] = static_cast<int32_t>(value);
    lua_pop(L, 1);
  }
  return ids;
}

template <typename T>
void push_numbers(lua_State* L, const T* values, size_t n) {
  lua_createtable(L, static_cast<int>(n), 0);
  for (size_t i = 0; i < n; ++i) {
    lua_pushnumber(L, static_cast<lua_Number>(values[i]));
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
}

double number_field(lua_State* L, int index, const char* name, double fallback) {
  lua_getfield(L, index, name);
  const double value = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : fallback;
  lua_pop(L, 1);
  return value;
}

// load(path, compute, on_progress or nil) -> model. on_progress(fraction) runs between layers.
int load(lua_State* L) {
  const std::string path = string_at(L, 1);
  LoadOptions options;
  options.compute = luaL_optstring(L, 2, "auto");
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

int info(lua_State* L) {
  const auto model = check_model(L, 1);
  const ModelInfo& i = model->info();
  lua_newtable(L);
  set_field(L, "name", i.name);
  set_field(L, "path", i.path);
  set_field(L, "architecture", i.architecture);
  set_field(L, "format", i.format);
  set_field(L, "dtype", i.dtype);
  set_field(L, "compute", i.compute);
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

// context(model, n_ctx) -> context
int context(lua_State* L) {
  const auto model = check_model(L, 1);
  const auto n = static_cast<int64_t>(luaL_optnumber(L, 2, 0));
  const auto made = allocate_or_collect(L, [&] { return std::make_shared<Context>(model, n); });
  // The cache is reserved, not used, at first; what a conversation usually fills is a fraction of
  // it.
  push_shared(L, kContext, made,
              static_cast<size_t>(model->info().kv_bytes_per_token *
                                  std::min<int64_t>(made->n_ctx(), 1024)));
  return 1;
}

// context_info(context) -> n_tokens, n_ctx
int context_info(lua_State* L) {
  const auto c = check_shared<Context>(L, 1, kContext);
  lua_pushnumber(L, static_cast<lua_Number>(c->tokens().size()));
  lua_pushnumber(L, static_cast<lua_Number>(c->n_ctx()));
  return 2;
}

// logits(context, ids) -> list of numbers after the last token
int logits(lua_State* L) {
  const auto c = check_shared<Context>(L, 1, kContext);
  const auto values = c->eval(ids_at(L, 2));
  push_numbers(L, values.data(), values.size());
  return 1;
}

// all_logits(context, ids) -> list of lists, one for every token
int all_logits(lua_State* L) {
  const auto c = check_shared<Context>(L, 1, kContext);
  const auto ids = ids_at(L, 2);
  const auto values = c->eval_all(ids);
  const size_t vocab = values.size() / ids.size();
  lua_createtable(L, static_cast<int>(ids.size()), 0);
  for (size_t i = 0; i < ids.size(); ++i) {
    push_numbers(L, values.data() + i * vocab, vocab);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

GenerateOptions generate_options(lua_State* L, int index) {
  GenerateOptions o;
  o.sampling.temperature = number_field(L, index, "temperature", o.sampling.temperature);
  o.sampling.top_k = static_cast<int64_t>(number_field(L, index, "top_k", 0));
  o.sampling.top_p = number_field(L, index, "top_p", o.sampling.top_p);
  o.sampling.min_p = number_field(L, index, "min_p", o.sampling.min_p);
  o.sampling.repetition_penalty =
      number_field(L, index, "repetition_penalty", o.sampling.repetition_penalty);
  o.sampling.presence_penalty =
      number_field(L, index, "presence_penalty", o.sampling.presence_penalty);
  o.sampling.frequency_penalty =
      number_field(L, index, "frequency_penalty", o.sampling.frequency_penalty);
  o.sampling.penalty_window = static_cast<int64_t>(
      number_field(L, index, "penalty_window", static_cast<double>(o.sampling.penalty_window)));
  o.sampling.seed = static_cast<int64_t>(number_field(L, index, "seed", -1));
  o.max_tokens =
      static_cast<int64_t>(number_field(L, index, "max_tokens", static_cast<double>(o.max_tokens)));
  lua_getfield(L, index, "ignore_eos");
  o.ignore_eos = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  lua_getfield(L, index, "stop");
  if (lua_istable(L, -1))
    for (int i = 1; i <= static_cast<int>(lua_objlen(L, -1)); ++i) {
      lua_rawgeti(L, -1, i);
      o.stop.push_back(string_at(L, -1));
      lua_pop(L, 1);
    }
  lua_pop(L, 1);
  return o;
}

// generation(context, ids, options) -> generation
int generation(lua_State* L) {
  const auto c = check_shared<Context>(L, 1, kContext);
  luaL_checktype(L, 3, LUA_TTABLE);
  push_shared(L, kGeneration,
              std::make_shared<Generation>(c, ids_at(L, 2), generate_options(L, 3)));
  return 1;
}

// next(generation) -> piece (may be empty), or nil at the end
int next(lua_State* L) {
  const auto g = check_shared<Generation>(L, 1, kGeneration);
  std::string piece;
  if (g->next(&piece))
    push_string(L, piece);
  else
    lua_pushnil(L);
  return 1;
}

// stats(generation) -> table with the ids produced so far
int stats(lua_State* L) {
  const auto g = check_shared<Generation>(L, 1, kGeneration);
  const GenerateStats& s = g->stats();
  lua_newtable(L);
  set_field(L, "prompt_tokens", s.prompt_tokens);
  set_field(L, "reused_tokens", s.reused_tokens);
  set_field(L, "completion_tokens", s.completion_tokens);
  set_field(L, "prompt_seconds", s.prompt_seconds);
  set_field(L, "decode_seconds", s.decode_seconds);
  set_field(L, "seed", static_cast<double>(s.seed));
  set_field(L, "finish_reason", s.finish_reason);
  push_numbers(L, g->tokens().data(), g->tokens().size());
  lua_setfield(L, -2, "tokens");
  return 1;
}

// lists() -> {architectures = {...}, samplers = {...}}
int lists(lua_State* L) {
  lua_newtable(L);
  lua_newtable(L);
  for (const Arch* arch : all_archs()) {
    lua_pushstring(L, arch->name);
    lua_rawseti(L, -2, static_cast<int>(lua_objlen(L, -2)) + 1);
  }
  lua_setfield(L, -2, "architectures");
  lua_newtable(L);
  for (const SamplerStep* step : Sampler::steps()) {
    lua_pushstring(L, step->name);
    lua_rawseti(L, -2, static_cast<int>(lua_objlen(L, -2)) + 1);
  }
  lua_setfield(L, -2, "samplers");
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
  for (const char* type : {kContext, kGeneration}) {
    new_shared_type(L, type, kNone);
    lua_pop(L, 1);
  }
  constexpr luaL_Reg kFunctions[] = {{"load", load},
                                     {"info", info},
                                     {"tokenize", tokenize},
                                     {"detokenize", detokenize},
                                     {"token_text", token_text},
                                     {"render", render},
                                     {"context", context},
                                     {"context_info", context_info},
                                     {"logits", logits},
                                     {"all_logits", all_logits},
                                     {"generation", generation},
                                     {"next", next},
                                     {"stats", stats},
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
