// The Lua module lm.engine.train: training runs and the schema of their options. What users see is
// in lua/stdlib/lm/train.lua.
#include <lua.hpp>
#include <sstream>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/error_table.h"
#include "engine/api/train.h"
#include "engine/core/interrupt.h"
#include "runtime/interrupt.h"
#include "runtime/jobs.h"

namespace lm {
namespace {

void begin_field(lua_State* L, const char* name, const char* type, const char* doc) {
  lua_newtable(L);
  set_field(L, "name", name);
  set_field(L, "type", type);
  set_field(L, "doc", doc);
}

void end_field(lua_State* L) {
  lua_rawseti(L, -2, static_cast<int>(lua_objlen(L, -2)) + 1);
}

void number_range(lua_State* L, double initial, double least, double most) {
  set_field(L, "default", initial);
  set_field(L, "min", least);
  set_field(L, "max", most);
}

void word_choices(lua_State* L, const char* initial, const char* choices) {
  set_field(L, "default", initial);
  lua_newtable(L);
  std::istringstream words(choices);
  int i = 0;
  for (std::string word; words >> word;) {
    push_string(L, word);
    lua_rawseti(L, -2, ++i);
  }
  lua_setfield(L, -2, "enum");
}

#define LM_OPTION_NUMBER(name, initial, least, most, doc)                   \
  begin_field(L, #name, "number", doc);                                     \
  number_range(L, static_cast<double>(initial), static_cast<double>(least), \
               static_cast<double>(most));                                  \
  end_field(L);
#define LM_OPTION_INTEGER(name, initial, least, most, doc)                  \
  begin_field(L, #name, "integer", doc);                                    \
  number_range(L, static_cast<double>(initial), static_cast<double>(least), \
               static_cast<double>(most));                                  \
  end_field(L);
#define LM_OPTION_BOOLEAN(name, initial, doc) \
  begin_field(L, #name, "boolean", doc);      \
  set_field(L, "default", initial);           \
  end_field(L);
#define LM_OPTION_WORD(name, initial, choices, doc) \
  begin_field(L, #name, "string", doc);             \
  word_choices(L, initial, choices);                \
  end_field(L);

// fields() -> schema fields of training, schema fields of adapters
int fields(lua_State* L) {
  lua_newtable(L);
#include "engine/api/train_options.inc"
  lua_newtable(L);
#include "engine/api/lora_options.inc"
  return 2;
}

#undef LM_OPTION_NUMBER
#undef LM_OPTION_INTEGER
#undef LM_OPTION_BOOLEAN
#undef LM_OPTION_WORD

std::string string_field(lua_State* L, int index, const char* name, const std::string& fallback) {
  lua_getfield(L, index, name);
  const std::string out = lua_isnil(L, -1) ? fallback : string_at(L, -1);
  lua_pop(L, 1);
  return out;
}

#define LM_OPTION_NUMBER(name, initial, least, most, doc) \
  o.name = number_field(L, index, #name, o.name);
#define LM_OPTION_INTEGER(name, initial, least, most, doc) \
  o.name = static_cast<int64_t>(number_field(L, index, #name, static_cast<double>(o.name)));
#define LM_OPTION_BOOLEAN(name, initial, doc)                \
  lua_getfield(L, index, #name);                             \
  if (!lua_isnil(L, -1)) o.name = lua_toboolean(L, -1) != 0; \
  lua_pop(L, 1);
#define LM_OPTION_WORD(name, initial, choices, doc) o.name = string_field(L, index, #name, o.name);

void read_plain(lua_State* L, int index, TrainOptions& o) {
#include "engine/api/train_options.inc"
}
void read_plain(lua_State* L, int index, LoraOptions& o){
#include "engine/api/lora_options.inc"
}

#undef LM_OPTION_NUMBER
#undef LM_OPTION_INTEGER
#undef LM_OPTION_BOOLEAN
#undef LM_OPTION_WORD

TrainOptions options_at(lua_State* L, int index) {
  TrainOptions o;
  read_plain(L, index, o);
  lua_getfield(L, index, "lora");
  if (lua_istable(L, -1)) {
    read_plain(L, lua_gettop(L), o.lora);
    o.lora.targets = texts_field(L, lua_gettop(L), "targets");
  }
  lua_pop(L, 1);
  o.model = string_field(L, index, "model", "");
  o.model_name = string_field(L, index, "model_name", "");
  o.data = texts_field(L, index, "data");
  o.rows = texts_field(L, index, "rows");
  o.eval_data = texts_field(L, index, "eval_data");
  o.train_only = texts_field(L, index, "train_only");
  o.freeze = texts_field(L, index, "freeze");
  o.no_decay = texts_field(L, index, "no_decay");
  o.prompt_text = string_field(L, index, "prompt_text", "");
  o.init_adapter = string_field(L, index, "init_adapter", "");
  o.output = string_field(L, index, "output", "");
  lua_getfield(L, index, "resume");
  o.resume = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return o;
}

void push_event(lua_State* L, const TrainEvent& e) {
  lua_createtable(L, 0, 16);
  set_field(L, "kind", e.kind);
  set_field(L, "step", e.step);
  set_field(L, "n_steps", e.n_steps);
  set_field(L, "epoch", e.epoch);
  set_field(L, "loss", e.loss);
  set_field(L, "accuracy", e.accuracy);
  set_field(L, "entropy", e.entropy);
  set_field(L, "grad_norm", e.grad_norm);
  set_field(L, "learning_rate", e.learning_rate);
  set_field(L, "tokens", e.tokens);
  set_field(L, "tokens_per_s", e.tokens_per_s);
  set_field(L, "memory", e.memory);
  set_field(L, "eta_s", e.eta_s);
  if (!e.path.empty()) set_field(L, "path", e.path);
}

// Calls into Lua from a run. Ctrl-C may strike inside a callback: the run then ends as it does
// anywhere else, after its step, with a checkpoint.
class Callbacks {
 public:
  Callbacks(lua_State* L, int index) : L_(L), index_(index) {}
  bool stopped() const { return stopped_ || interrupt_pending(); }

  template <typename Push>
  void call(const char* name, Push&& push) {
    if (stopped()) return;
    lua_getfield(L_, index_, name);
    if (!lua_isfunction(L_, -1)) return lua_pop(L_, 1);
    const int n = push(L_);
    try {
      protected_call(L_, n, 1);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::interrupted) throw;
      stopped_ = true;
      return;
    }
    if (lua_isboolean(L_, -1) && lua_toboolean(L_, -1) == 0) stopped_ = true;  // `return false`
    lua_pop(L_, 1);
  }

 private:
  lua_State* L_;
  int index_;
  bool stopped_ = false;
};

// A request to stop was answered by a checkpoint.
void answer_stop() {
  if (JobContext* job = current_job())
    job->answer_stop();
  else
    clear_interrupt();
}

// train(options, {on_event=, on_note=, on_wait=}) -> {output, adapter, model, steps, loss,
// eval_loss, seconds, stopped}; a callback that returns false ends the run after its step.
int train(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  const TrainOptions options = options_at(L, 1);
  Callbacks callbacks(L, 2);
  TrainSink sink;
  sink.on_event = [&](const TrainEvent& e) {
    callbacks.call("on_event", [&](lua_State*) { return push_event(L, e), 1; });
  };
  sink.on_note = [&](const std::string& text) {
    callbacks.call("on_note", [&](lua_State*) { return push_string(L, text), 1; });
  };
  sink.on_wait = [&](double, const std::string& text) {
    callbacks.call("on_wait", [&](lua_State*) { return push_string(L, text), 1; });
  };
  sink.should_stop = [&] { return callbacks.stopped(); };
  const TrainResult r = train_api().train(options, sink);
  if (r.stopped) answer_stop();
  lua_createtable(L, 0, 8);
  set_field(L, "output", r.output);
  if (!r.adapter.empty()) set_field(L, "adapter", r.adapter);
  set_field(L, "model", r.model);
  set_field(L, "steps", r.steps);
  set_field(L, "loss", r.loss);
  set_field(L, "eval_loss", r.eval_loss);
  set_field(L, "seconds", r.seconds);
  set_field(L, "stopped", r.stopped);
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_train(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kFunctions[] = {{"train", train}, {"fields", fields}, {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
