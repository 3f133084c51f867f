// The Lua module lm.engine.constraint: compiled constraints as handles. The functions users see are
// Lua's, in lua/stdlib/lm/constraint.lua.
#include <lua.hpp>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "engine/api/constraint.h"
#include "engine/api/json_validate.h"
#include "engine/core/error.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace {

using Language = ConstraintOptions::Language;

bool has_text(lua_State* L, int index, const char* name, std::string* text) {
  lua_getfield(L, index, name);
  const bool given = lua_isstring(L, -1) != 0;
  if (given) *text = string_at(L, -1);
  lua_pop(L, 1);
  return given;
}

// compile({schema | regex | grammar | choices, compact, in_order, triggers}, tokenizer or nil)
//   -> constraint
int compile(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  ConstraintOptions o;
  if (has_text(L, 1, "schema", &o.text)) {
    o.language = Language::json_schema;
  } else if (has_text(L, 1, "regex", &o.text)) {
    o.language = Language::regex;
  } else if (has_text(L, 1, "grammar", &o.text)) {
    o.language = Language::gbnf;
  } else {
    o.language = Language::choices;
    o.choices = texts_field(L, 1, "choices");
  }
  o.any_space = !flag_field(L, 1, "compact");
  o.any_order = !flag_field(L, 1, "in_order");
  o.triggers = texts_field(L, 1, "triggers");
  std::shared_ptr<const Tokenizer> tokenizer;
  if (!lua_isnoneornil(L, 2)) tokenizer = check_shared<const Tokenizer>(L, 2, kTokenizer);
  push_shared(L, kConstraint, Constraint::compile(o, std::move(tokenizer)), size_t{1} << 20);
  return 1;
}

// accepts(constraint, text) -> boolean
int accepts(lua_State* L) {
  lua_pushboolean(L, check_shared<const Constraint>(L, 1, kConstraint)->accepts(string_at(L, 2)));
  return 1;
}

// mask(constraint, ids) -> allowed ids, whether the text may end; those that end it are among them
int mask(lua_State* L) {
  const auto constraint = check_shared<const Constraint>(L, 1, kConstraint);
  ConstraintState state(constraint, true);
  const auto ids = ids_at(L, 2);
  const Tokenizer& tokenizer = *constraint->tokenizer();
  for (size_t i = 0; i < ids.size(); ++i)
    LM_CHECK(state.accept(ids[i]), ErrorCode::bad_option,
             "token {} is {}, which the constraint does not allow there; expected one that it does",
             i + 1, ids[i]);
  std::vector<uint64_t> bits((static_cast<size_t>(tokenizer.size()) + 63) / 64);
  state.mask(bits);
  const bool stop = state.may_stop();
  if (stop)
    for (const int32_t id : tokenizer.eos())
      bits[static_cast<size_t>(id) >> 6] |= uint64_t{1} << (id & 63);
  std::vector<int32_t> allowed;
  for (size_t w = 0; w < bits.size(); ++w)
    for (uint64_t rest = bits[w]; rest != 0; rest &= rest - 1)
      allowed.push_back(static_cast<int32_t>(w * 64) + __builtin_ctzll(rest));
  push_numbers(L, allowed.data(), allowed.size());
  lua_pushboolean(L, stop);
  return 2;
}

// forced(constraint, ids) -> ids that are the only way to go on
int forced(lua_State* L) {
  ConstraintState state(check_shared<const Constraint>(L, 1, kConstraint));
  for (const int32_t id : ids_at(L, 2))
    LM_CHECK(state.accept(id), ErrorCode::bad_option,
             "the constraint does not allow the token {}; expected one that it does", id);
  const auto ids = state.forced();
  push_numbers(L, ids.data(), ids.size());
  return 1;
}

// notes(constraint) -> list of texts
int notes(lua_State* L) {
  const auto constraint = check_shared<const Constraint>(L, 1, kConstraint);
  lua_newtable(L);
  int n = 0;
  for (const std::string& note : constraint->notes()) {
    push_string(L, note);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

// validate(value, schema, formats, {[uri] = schema} or nil) -> list of {path, schema, message}
int validate(lua_State* L) {
  JsonValidateOptions o;
  o.formats = lua_toboolean(L, 3) != 0;
  if (lua_istable(L, 4))
    for (lua_pushnil(L); lua_next(L, 4) != 0; lua_pop(L, 1))
      o.others.emplace(string_at(L, -2), string_at(L, -1));
  const auto problems = validate_json(string_at(L, 1), string_at(L, 2), o);
  lua_createtable(L, static_cast<int>(problems.size()), 0);
  int n = 0;
  for (const JsonProblem& problem : problems) {
    lua_newtable(L);
    set_field(L, "path", problem.path);
    set_field(L, "schema", problem.schema);
    set_field(L, "message", problem.message);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

// A handle that arrives in a worker state finds no methods yet: the first use of one loads the
// module that defines them.
int load_methods(lua_State* L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "lm.constraint");
  lua_call(L, 1, 0);
  lua_pushvalue(L, 2);
  lua_rawget(L, 1);
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_constraint(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kNone[] = {{nullptr, nullptr}};
  constexpr luaL_Reg kFunctions[] = {
      {"compile", compile}, {"accepts", accepts},   {"mask", mask},    {"forced", forced},
      {"notes", notes},     {"validate", validate}, {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  new_shared_type(L, kConstraint, kNone);  // on the stack: its metatable
  lua_getfield(L, -1, "__index");
  lua_newtable(L);
  lua_pushcfunction(L, load_methods);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_setfield(L, -3, "methods");
  lua_setfield(L, -2, "meta");
  return 1;
}
