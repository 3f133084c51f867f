// Sampling options between Lua tables and C++; the lists behind help and docs.
#pragma once

#include <lua.hpp>

#include "engine/api/sampling.h"

namespace lm {

// Reads the options of the table at `index`; what is absent keeps its default. bad_words holds
// lists of ids (texts are the caller's to tokenise), logit_bias maps ids to numbers.
SamplingOptions sampling_options_at(lua_State* L, int index);

// Pushes the numeric options in the order of help: {name, type, default, min, max, doc}.
int push_sampling_options(lua_State* L);

// Pushes {samplers = {{name, role, options, rule, source}, ...}, presets = {{name, order}, ...}}.
int push_samplers(lua_State* L);

}  // namespace lm
