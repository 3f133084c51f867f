#include "bindings/sampling_options.h"

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "engine/infer/sampler/sampler.h"

namespace lm {
namespace {

// Calls read(i) for every element of a list field, with the element on top of the stack.
template <typename Read>
void each_of(lua_State* L, int index, const char* name, Read read) {
  lua_getfield(L, index, name);
  if (lua_istable(L, -1))
    for (int i = 1; i <= static_cast<int>(lua_objlen(L, -1)); ++i) {
      lua_rawgeti(L, -1, i);
      read();
      lua_pop(L, 1);
    }
  lua_pop(L, 1);
}

void read_numbers(lua_State* L, int index, SamplingOptions& o) {
#define LM_OPTION_NUMBER(name, initial, least, most, doc) \
  o.name = number_field(L, index, #name, o.name);
#define LM_OPTION_INTEGER(name, initial, least, most, doc) \
  o.name = static_cast<int64_t>(number_field(L, index, #name, static_cast<double>(o.name)));
#define LM_OPTION_BOOLEAN(name, initial, doc)                \
  lua_getfield(L, index, #name);                             \
  if (!lua_isnil(L, -1)) o.name = lua_toboolean(L, -1) != 0; \
  lua_pop(L, 1);
#include "engine/api/sampling_options.inc"
#undef LM_OPTION_NUMBER
#undef LM_OPTION_INTEGER
#undef LM_OPTION_BOOLEAN
}

void read_bias(lua_State* L, int index, SamplingOptions& o) {
  lua_getfield(L, index, "logit_bias");
  if (lua_istable(L, -1)) {
    lua_pushnil(L);
    while (lua_next(L, -2)) {
      lua_pushvalue(L, -2);  // tonumber of the key itself would confuse lua_next
      o.logit_bias.emplace_back(static_cast<int32_t>(lua_tonumber(L, -1)),
                                static_cast<float>(lua_tonumber(L, -2)));
      lua_pop(L, 2);
    }
    std::sort(o.logit_bias.begin(), o.logit_bias.end());
  }
  lua_pop(L, 1);
}

void push_option(lua_State* L, const char* name, const char* type, const char* doc) {
  lua_newtable(L);
  set_field(L, "name", name);
  set_field(L, "type", type);
  set_field(L, "doc", doc);
}

void append(lua_State* L) {
  lua_rawseti(L, -2, static_cast<int>(lua_objlen(L, -2)) + 1);
}

const char* role_name(SamplerRole role) {
  switch (role) {
    case SamplerRole::mask:
      return "mask";
    case SamplerRole::edit:
      return "edit";
    case SamplerRole::scale:
      return "scale";
    case SamplerRole::truncate:
      return "truncate";
    case SamplerRole::choose:
      break;
  }
  return "choose";
}

}  // namespace

SamplingOptions sampling_options_at(lua_State* L, int index) {
  SamplingOptions o;
  read_numbers(L, index, o);
  read_bias(L, index, o);
  const auto ids = [&](const char* name) {
    std::vector<int32_t> out;
    lua_getfield(L, index, name);
    if (lua_istable(L, -1)) out = ids_at(L, lua_gettop(L));
    lua_pop(L, 1);
    return out;
  };
  o.allowed_token_ids = ids("allowed_token_ids");
  o.suppress_tokens = ids("suppress_tokens");
  o.forced_token_ids = ids("forced_token_ids");
  each_of(L, index, "bad_words", [&] { o.bad_words.push_back(ids_at(L, lua_gettop(L))); });
  lua_getfield(L, index, "dry_sequence_breakers");
  if (!lua_isnil(L, -1)) o.dry_sequence_breakers.clear();
  lua_pop(L, 1);
  each_of(L, index, "dry_sequence_breakers",
          [&] { o.dry_sequence_breakers.push_back(string_at(L, -1)); });
  each_of(L, index, "samplers", [&] { o.samplers.push_back(string_at(L, -1)); });
  return o;
}

int push_sampling_options(lua_State* L) {
  lua_newtable(L);
#define LM_OPTION_NUMBER(name, initial, least, most, doc) \
  push_option(L, #name, "number", doc);                   \
  set_field(L, "default", static_cast<double>(initial));  \
  set_field(L, "min", static_cast<double>(least));        \
  set_field(L, "max", static_cast<double>(most));         \
  append(L);
#define LM_OPTION_INTEGER(name, initial, least, most, doc) \
  push_option(L, #name, "integer", doc);                   \
  set_field(L, "default", static_cast<double>(initial));   \
  set_field(L, "min", static_cast<double>(least));         \
  set_field(L, "max", static_cast<double>(most));          \
  append(L);
#define LM_OPTION_BOOLEAN(name, initial, doc) \
  push_option(L, #name, "boolean", doc);      \
  set_field(L, "default", initial);           \
  append(L);
#include "engine/api/sampling_options.inc"
#undef LM_OPTION_NUMBER
#undef LM_OPTION_INTEGER
#undef LM_OPTION_BOOLEAN
  return 1;
}

int push_samplers(lua_State* L) {
  lua_newtable(L);
  lua_newtable(L);
  for (const SamplerKind* kind : all_samplers()) {
    lua_newtable(L);
    set_field(L, "name", kind->name);
    set_field(L, "role", role_name(kind->role));
    set_field(L, "options", kind->options);
    set_field(L, "rule", kind->rule);
    set_field(L, "source", kind->source);
    append(L);
  }
  lua_setfield(L, -2, "samplers");
  lua_newtable(L);
  for (const std::string_view preset : sampler_presets()) {
    lua_newtable(L);
    set_field(L, "name", preset);
    lua_newtable(L);
    for (const SamplerKind* kind : sampler_preset(preset)) {
      lua_pushstring(L, kind->name);
      append(L);
    }
    lua_setfield(L, -2, "order");
    append(L);
  }
  lua_setfield(L, -2, "presets");
  return 1;
}

}  // namespace lm
