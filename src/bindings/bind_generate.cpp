// The Lua module lm.engine.generate: contexts and generations as handles. The functions users see
// are Lua's, in lua/stdlib/lm/generate.lua.
#include <lua.hpp>
#include <utility>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/error_table.h"
#include "bindings/logits_view.h"
#include "bindings/sampling_options.h"
#include "bindings/shared_handle.h"
#include "engine/api/beam_search.h"
#include "engine/api/constraint.h"
#include "engine/api/contrastive_search.h"
#include "engine/api/generate.h"
#include "engine/api/model.h"
#include "engine/api/scheduler_stats.h"
#include "engine/core/error.h"

namespace lm {
namespace {

constexpr const char* kGeneration = "lm.Generation";

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

// choose_adapters(context, names)
int choose_adapters(lua_State* L) {
  luaL_checktype(L, 2, LUA_TTABLE);
  std::vector<std::string> names;
  for (int i = 1; i <= static_cast<int>(lua_objlen(L, 2)); ++i) {
    lua_rawgeti(L, 2, i);
    names.push_back(string_at(L, -1));
    lua_pop(L, 1);
  }
  check_shared<Context>(L, 1, kContext)->choose_adapters(std::move(names));
  return 0;
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
  const auto values = c->eval(c->begin(ids_at(L, 2)));
  push_numbers(L, values.data(), values.size());
  return 1;
}

// save_session(context, path, note)
int save_session(lua_State* L) {
  check_shared<Context>(L, 1, kContext)->save(string_at(L, 2), string_at(L, 3));
  return 0;
}

// restore_session(context, path) -> note
int restore_session(lua_State* L) {
  push_string(L, check_shared<Context>(L, 1, kContext)->restore(string_at(L, 2)));
  return 1;
}

// scheduler_stats(model) -> what the model's scheduler has done so far
int scheduler_stats(lua_State* L) {
  const SchedulerStats s = lm::scheduler_stats(*check_model(L, 1));
  lua_newtable(L);
  set_field(L, "steps", s.steps);
  set_field(L, "tokens", s.tokens);
  set_field(L, "reused_tokens", s.reused_tokens);
  set_field(L, "preemptions", s.preemptions);
  set_field(L, "running", s.running);
  set_field(L, "waiting", s.waiting);
  set_field(L, "n_pages", s.n_pages);
  set_field(L, "used_pages", s.used_pages);
  set_field(L, "cached_pages", s.cached_pages);
  set_field(L, "page_tokens", s.page_tokens);
  set_field(L, "page_bytes", s.page_bytes);
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

std::vector<int32_t> ids_field(lua_State* L, int index, const char* name) {
  std::vector<int32_t> ids;
  lua_getfield(L, index, name);
  if (lua_istable(L, -1)) ids = ids_at(L, lua_gettop(L));
  lua_pop(L, 1);
  return ids;
}

// The field `guidance`: {context, prompt, contrastive, scale, alpha}.
GuidanceOptions guidance_field(lua_State* L, int index) {
  GuidanceOptions o;
  lua_getfield(L, index, "guidance");
  if (lua_istable(L, -1)) {
    const int table = lua_gettop(L);
    lua_getfield(L, table, "context");
    o.context = check_shared<Context>(L, -1, kContext);
    lua_getfield(L, table, "contrastive");
    if (lua_toboolean(L, -1)) o.kind = GuidanceOptions::Kind::contrastive;
    o.prompt = ids_field(L, table, "prompt");
    o.scale = number_field(L, table, "scale", o.scale);
    o.alpha = number_field(L, table, "alpha", o.alpha);
    lua_settop(L, table);
  }
  lua_pop(L, 1);
  return o;
}

// The field `speculation`: {kind, max_draft_tokens, context}.
SpeculationOptions speculation_field(lua_State* L, int index) {
  SpeculationOptions o;
  lua_getfield(L, index, "speculation");
  if (lua_istable(L, -1)) {
    const int table = lua_gettop(L);
    o.kind = SpeculationOptions::Kind::prompt_lookup;
    o.max_draft_tokens = static_cast<int64_t>(
        number_field(L, table, "max_draft_tokens", static_cast<double>(o.max_draft_tokens)));
    lua_getfield(L, table, "context");
    if (!lua_isnil(L, -1)) {
      o.kind = SpeculationOptions::Kind::draft_model;
      o.draft = check_shared<Context>(L, -1, kContext);
    }
    lua_settop(L, table);
  }
  lua_pop(L, 1);
  return o;
}

GenerateOptions generate_options(lua_State* L, int index) {
  GenerateOptions o;
  o.sampling = sampling_options_at(L, index);
  o.max_tokens =
      static_cast<int64_t>(number_field(L, index, "max_tokens", static_cast<double>(o.max_tokens)));
  o.logprobs = static_cast<int64_t>(number_field(L, index, "logprobs", -1));
  o.keep = static_cast<int64_t>(number_field(L, index, "keep", 0));
  o.priority = static_cast<int64_t>(number_field(L, index, "priority", 0));
  lua_getfield(L, index, "overflow");
  if (lua_isstring(L, -1)) o.overflow = string_at(L, -1);
  lua_pop(L, 1);
  o.stop_token_ids = ids_field(L, index, "stop_token_ids");
  o.guidance = guidance_field(L, index);
  o.speculation = speculation_field(L, index);
  lua_getfield(L, index, "constraint");
  if (!lua_isnil(L, -1)) o.constraint = check_shared<const Constraint>(L, -1, kConstraint);
  lua_pop(L, 1);
  lua_getfield(L, index, "ignore_eos");
  o.ignore_eos = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  o.stop = texts_field(L, index, "stop");
  o.show_tokens = texts_field(L, index, "show_tokens");
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

// start(generation): it is made together with others from now on
int start(lua_State* L) {
  check_shared<Generation>(L, 1, kGeneration)->start();
  return 0;
}

// next(generation, on_logits or nil) -> piece (may be empty), or nil at the end
int next(lua_State* L) {
  const auto g = check_shared<Generation>(L, 1, kGeneration);
  std::string piece;
  if (g->next(&piece, lua_isfunction(L, 2) ? lua_logits_hook(L, 2) : LogitsHook()))
    push_string(L, piece);
  else
    lua_pushnil(L);
  return 1;
}

void push_logprob(lua_State* L, const TokenLogprob& entry) {
  lua_newtable(L);
  set_field(L, "id", static_cast<int64_t>(entry.id));
  set_field(L, "logprob", entry.logprob);
}

// Pushes a list of {id, logprob, top = {{id, logprob}, ...}}.
void push_logprobs(lua_State* L, const std::vector<StepLogprobs>& steps) {
  lua_createtable(L, static_cast<int>(steps.size()), 0);
  for (size_t i = 0; i < steps.size(); ++i) {
    push_logprob(L, steps[i].chosen);
    lua_newtable(L);
    for (size_t k = 0; k < steps[i].top.size(); ++k) {
      push_logprob(L, steps[i].top[k]);
      lua_rawseti(L, -2, static_cast<int>(k) + 1);
    }
    lua_setfield(L, -2, "top");
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
}

// What both searches take from the table and the function behind it.
template <typename Options>
Options search_options(lua_State* L, int index, int on_progress) {
  luaL_checktype(L, index, LUA_TTABLE);
  Options o;
  o.sampling = sampling_options_at(L, index);
  o.max_tokens =
      static_cast<int64_t>(number_field(L, index, "max_tokens", static_cast<double>(o.max_tokens)));
  o.stop_token_ids = ids_field(L, index, "stop_token_ids");
  lua_getfield(L, index, "ignore_eos");
  o.ignore_eos = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  if (lua_isfunction(L, on_progress))
    o.progress = [L, on_progress](int64_t tokens) {
      lua_pushvalue(L, on_progress);
      lua_pushnumber(L, static_cast<lua_Number>(tokens));
      protected_call(L, 1, 0);
    };
  return o;
}

// Pushes {ids, stopped}.
void push_sequence(lua_State* L, const std::vector<int32_t>& ids, bool stopped) {
  lua_newtable(L);
  push_numbers(L, ids.data(), ids.size());
  lua_setfield(L, -2, "ids");
  set_field(L, "stopped", stopped);
}

// beam_search(model, ids, options, n_ctx, on_progress) -> list of {ids, score, stopped}
int search_beams(lua_State* L) {
  const auto model = check_model(L, 1);
  const auto ids = ids_at(L, 2);
  auto o = search_options<BeamOptions>(L, 3, 5);
  const auto integer = [&](const char* name, int64_t& value) {
    value = static_cast<int64_t>(number_field(L, 3, name, static_cast<double>(value)));
  };
  integer("num_beams", o.num_beams);
  integer("num_beam_groups", o.num_beam_groups);
  integer("num_return_sequences", o.num_return_sequences);
  o.length_penalty = number_field(L, 3, "length_penalty", o.length_penalty);
  o.diversity_penalty = number_field(L, 3, "diversity_penalty", o.diversity_penalty);
  lua_getfield(L, 3, "early_stopping");
  if (lua_isstring(L, -1)) o.early_stopping = string_at(L, -1);
  lua_pop(L, 1);
  const auto n_ctx = static_cast<int64_t>(luaL_optnumber(L, 4, 0));
  const auto found = allocate_or_collect(L, [&] { return beam_search(model, ids, o, n_ctx); });
  lua_newtable(L);
  for (size_t i = 0; i < found.size(); ++i) {
    push_sequence(L, found[i].ids, found[i].stopped);
    set_field(L, "score", found[i].score);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

// contrastive_search(model, ids, options, n_ctx, on_progress) -> {ids, stopped}
int search_contrastive(lua_State* L) {
  const auto model = check_model(L, 1);
  const auto ids = ids_at(L, 2);
  auto o = search_options<ContrastiveOptions>(L, 3, 5);
  o.penalty_alpha = number_field(L, 3, "penalty_alpha", o.penalty_alpha);
  // Here it is the number of tokens that are tried, not a mask before.
  o.top_k = std::exchange(o.sampling.top_k, 0);
  const auto n_ctx = static_cast<int64_t>(luaL_optnumber(L, 4, 0));
  const auto found =
      allocate_or_collect(L, [&] { return contrastive_search(model, ids, o, n_ctx); });
  push_sequence(L, found.ids, found.stopped);
  return 1;
}

// score(context, ids, n_prompt, top) -> a list as from push_logprobs, one for every token behind
// the first n_prompt
int score(lua_State* L) {
  const auto c = check_shared<Context>(L, 1, kContext);
  const auto n_prompt = static_cast<size_t>(luaL_checknumber(L, 3));
  push_logprobs(
      L, score_tokens(*c, ids_at(L, 2), n_prompt, static_cast<int64_t>(luaL_optnumber(L, 4, 1))));
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
  set_field(L, "draft_tokens", s.draft_tokens);
  set_field(L, "accepted_tokens", s.accepted_tokens);
  set_field(L, "prompt_seconds", s.prompt_seconds);
  set_field(L, "decode_seconds", s.decode_seconds);
  set_field(L, "seed", static_cast<double>(s.seed));
  set_field(L, "finish_reason", s.finish_reason);
  push_numbers(L, g->tokens().data(), g->tokens().size());
  lua_setfield(L, -2, "ids");
  if (!g->logprobs().empty()) {
    push_logprobs(L, g->logprobs());
    lua_setfield(L, -2, "logprobs");
  }
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_generate(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kNone[] = {{nullptr, nullptr}};
  for (const char* type : {kContext, kGeneration}) {
    new_shared_type(L, type, kNone);
    lua_pop(L, 1);
  }
  constexpr luaL_Reg kFunctions[] = {{"context", context},
                                     {"choose_adapters", choose_adapters},
                                     {"context_info", context_info},
                                     {"scheduler_stats", scheduler_stats},
                                     {"save_session", save_session},
                                     {"restore_session", restore_session},
                                     {"logits", logits},
                                     {"all_logits", all_logits},
                                     {"generation", generation},
                                     {"start", start},
                                     {"next", next},
                                     {"stats", stats},
                                     {"score", score},
                                     {"beam_search", search_beams},
                                     {"contrastive_search", search_contrastive},
                                     {"sampling_options", push_sampling_options},
                                     {"samplers", push_samplers},
                                     {nullptr, nullptr}};
  register_logits_view(L);
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
