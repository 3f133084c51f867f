// The logits of the next token as a Lua hook sees them: the engine's own buffer, for as long as the
// hook runs.
#pragma once

#include <functional>
#include <lua.hpp>

#include "engine/api/generate.h"

namespace lm {

// Creates the metatable "lm.Logits" in this state.
//   l[id], l[id] = x     the logit of a token; ids begin at 0
//   #l, l:len()          the size of the vocabulary
//   l:add(id, x), l:set(id, x)
//   l:mask(ids)          forbids tokens (-infinity); l:keep(ids) forbids all others
//   l:top(n)             the n best as records {id, logit}, best first
// Ids outside of the vocabulary and uses after the hook has returned raise bad_option.
void register_logits_view(lua_State* L);

// A hook that calls the Lua function at `index` with the ids so far and the logits. Valid while the
// function stays at that place of the stack. Lua errors come out as lm::Error.
LogitsHook lua_logits_hook(lua_State* L, int index);

}  // namespace lm
