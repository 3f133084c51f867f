// The Lua module lm.engine.tokenizer: tokenizers, token streams and chat templates as handles. The
// functions users see are Lua's, in lua/stdlib/lm/tokenizer.lua and template.lua, which also fill
// the methods.
#include <algorithm>
#include <filesystem>
#include <lua.hpp>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "bindings/error_table.h"
#include "bindings/shared_handle.h"
#include "engine/api/model.h"
#include "engine/core/error.h"
#include "engine/core/mapped_file.h"
#include "engine/data/dataset.h"
#include "engine/data/row_reader.h"
#include "engine/text/chat_template.h"
#include "engine/text/chat_template_file.h"
#include "engine/text/tokenizer.h"
#include "engine/text/train/train_tokenizer.h"
#include "engine/text/utf8_stream.h"

namespace lm {
namespace {

constexpr const char* kStream = "lm.TokenStream";
constexpr const char* kTemplate = "lm.Template";

std::shared_ptr<const Tokenizer> check_tokenizer(lua_State* L, int index) {
  return check_shared<const Tokenizer>(L, index, kTokenizer);
}

std::string_view text_at(lua_State* L, int index) {
  size_t size = 0;
  const char* text = luaL_checklstring(L, index, &size);
  return {text, size};
}

int32_t id_from(lua_State* L, int index, const char* what) {
  const double value = lua_isnumber(L, index) ? lua_tonumber(L, index) : -1.0;
  LM_CHECK(value >= 0 && value < 2147483648.0 &&
               value == static_cast<double>(static_cast<int32_t>(value)),
           ErrorCode::bad_option, "{} is {}; expected a token id", what,
           lua_isnumber(L, index) ? fmt::format("{}", value) : luaL_typename(L, index));
  return static_cast<int32_t>(value);
}

void push_ids(lua_State* L, const std::vector<int32_t>& ids) {
  lua_createtable(L, static_cast<int>(ids.size()), 0);
  for (size_t i = 0; i < ids.size(); ++i) {
    lua_pushnumber(L, ids[i]);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
}

// open(path) -> tokenizer
int open(lua_State* L) {
  push_shared(L, kTokenizer, open_tokenizer(std::string(text_at(L, 1))), size_t{8} << 20);
  return 1;
}

// of_model(model) -> tokenizer
int of_model(lua_State* L) {
  const auto model = check_shared<const Model>(L, 1, "lm.Model");
  LM_CHECK(model->tokenizer() != nullptr, ErrorCode::unsupported,
           "the model \"{}\" has no tokenizer", model->info().name);
  push_shared(L, kTokenizer, model->tokenizer());
  return 1;
}

// encode(tokenizer, text, add_special, parse_special) -> ids
int encode(lua_State* L) {
  push_ids(L, check_tokenizer(L, 1)->encode(text_at(L, 2),
                                            {lua_toboolean(L, 3) != 0, lua_toboolean(L, 4) != 0}));
  return 1;
}

// count(tokenizer, text, add_special, parse_special) -> number of ids
int count(lua_State* L) {
  const auto ids = check_tokenizer(L, 1)->encode(
      text_at(L, 2), {lua_toboolean(L, 3) != 0, lua_toboolean(L, 4) != 0});
  lua_pushnumber(L, static_cast<lua_Number>(ids.size()));
  return 1;
}

// encode_pair(tokenizer, first, second, add_special, parse_special) -> ids, type_ids
int encode_pair(lua_State* L) {
  const EncodedPair pair = check_tokenizer(L, 1)->encode_pair(
      text_at(L, 2), text_at(L, 3), {lua_toboolean(L, 4) != 0, lua_toboolean(L, 5) != 0});
  push_ids(L, pair.ids);
  push_ids(L, pair.type_ids);
  return 2;
}

// decode(tokenizer, ids, skip_special) -> text
int decode(lua_State* L) {
  const auto tokenizer = check_tokenizer(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  std::vector<int32_t> ids(lua_objlen(L, 2));
  for (size_t i = 0; i < ids.size(); ++i) {
    lua_rawgeti(L, 2, static_cast<int>(i) + 1);
    ids[i] = id_from(L, -1, fmt::format("token {}", i + 1).c_str());
    lua_pop(L, 1);
  }
  push_string(L, tokenizer->decode(ids, lua_toboolean(L, 3) != 0));
  return 1;
}

// token(tokenizer, id) -> its text in the file, the bytes it adds to a text, whether it is special
int token(lua_State* L) {
  const auto tokenizer = check_tokenizer(L, 1);
  const int32_t id = id_from(L, 2, "id");
  push_string(L, tokenizer->token_text(id));
  push_string(L, tokenizer->token_bytes(id));
  lua_pushboolean(L, tokenizer->is_special(id));
  return 3;
}

// id(tokenizer, text) -> id or nil
int id(lua_State* L) {
  const int32_t found = check_tokenizer(L, 1)->id_of(text_at(L, 2));
  if (found >= 0)
    lua_pushnumber(L, found);
  else
    lua_pushnil(L);
  return 1;
}

void set_id(lua_State* L, const char* name, int32_t id) {
  if (id >= 0) set_field(L, name, static_cast<int>(id));
}

// info(tokenizer) -> table
int info(lua_State* L) {
  const auto t = check_tokenizer(L, 1);
  lua_newtable(L);
  set_field(L, "kind", t->kind());
  set_field(L, "vocab_size", static_cast<int>(t->size()));
  set_id(L, "bos", t->bos());
  set_id(L, "pad", t->pad());
  set_id(L, "unk", t->unk());
  if (!t->eos().empty()) set_id(L, "eos", t->eos()[0]);
  push_ids(L, t->eos());
  lua_setfield(L, -2, "ends");
  set_field(L, "add_bos", t->add_bos());
  if (!t->warning().empty()) set_field(L, "warning", t->warning());
  return 1;
}

// stream(tokenizer, skip_special, at_text_start) -> stream
int stream(lua_State* L) {
  push_shared(L, kStream,
              std::make_shared<Utf8Stream>(
                  check_tokenizer(L, 1),
                  Utf8StreamOptions{lua_toboolean(L, 2) != 0, lua_toboolean(L, 3) != 0}));
  return 1;
}

// stream_push(stream, id) -> text
int stream_push(lua_State* L) {
  push_string(L, check_shared<Utf8Stream>(L, 1, kStream)->push(id_from(L, 2, "id")));
  return 1;
}

// stream_finish(stream) -> text
int stream_finish(lua_State* L) {
  push_string(L, check_shared<Utf8Stream>(L, 1, kStream)->finish());
  return 1;
}

template <typename T>
void number_field(lua_State* L, int index, const char* name, T* value) {
  lua_getfield(L, index, name);
  if (lua_isnumber(L, -1)) *value = static_cast<T>(lua_tonumber(L, -1));
  lua_pop(L, 1);
}

// The lines of rows' texts.
LineSource lines_of_rows(std::vector<std::string> files, std::vector<std::string> rows) {
  return [files, rows](const std::function<void(std::string_view)>& add) {
    read_texts(files, rows, [&](std::string_view text) {
      while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
        add(text.substr(0, end));
        text.remove_prefix(end);
      }
    });
  };
}

// train(files, options, on_progress(phase, fraction) or nil) -> tokenizer; writes options.output.
int train(lua_State* L) {
  luaL_checktype(L, 2, LUA_TTABLE);
  TokenizerTraining o;
  o.kind = text_field(L, 2, "kind", "bpe");
  o.pre_tokenizer = text_field(L, 2, "pre_tokenizer", "auto");
  o.unk_token = text_field(L, 2, "unk_token", "");
  o.special_tokens = texts_field(L, 2, "special_tokens");
  o.initial_alphabet = texts_field(L, 2, "initial_alphabet");
  number_field(L, 2, "vocab_size", &o.vocab_size);
  number_field(L, 2, "min_frequency", &o.min_frequency);
  number_field(L, 2, "limit_alphabet", &o.limit_alphabet);
  number_field(L, 2, "max_token_length", &o.max_token_length);
  if (lua_isfunction(L, 3))
    o.progress = [L](const char* phase, double fraction) {
      lua_pushvalue(L, 3);
      lua_pushstring(L, phase);
      lua_pushnumber(L, fraction);
      protected_call(L, 2, 0);
    };
  lua_newtable(L);
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "files");
  const std::vector<std::string> files = texts_field(L, lua_gettop(L), "files");
  const std::vector<std::string> rows = texts_field(L, 2, "rows");
  const bool of_rows = !rows.empty() || std::any_of(files.begin(), files.end(), holds_rows);
  const std::string json =
      of_rows ? train_tokenizer(lines_of_rows(files, rows), o) : train_tokenizer(files, o);
  const std::string output = text_field(L, 2, "output", "");
  if (!output.empty()) {
    const auto folder = std::filesystem::path(output).parent_path();
    if (!folder.empty()) std::filesystem::create_directories(folder);
    write_file_atomic(output, std::as_bytes(std::span(json)));
  }
  push_shared(L, kTokenizer,
              load_tokenizer_json(json, output.empty() ? "the trained tokenizer" : output),
              size_t{8} << 20);
  return 1;
}

// template(source) -> template
int make_template(lua_State* L) {
  push_shared(L, kTemplate, std::make_shared<const ChatTemplate>(text_at(L, 1)));
  return 1;
}

// read_template(path, name) -> source, bos_token, eos_token
int read_template(lua_State* L) {
  const ChatTemplateFile file =
      read_chat_template(std::string(text_at(L, 1)), std::string(text_at(L, 2)));
  push_string(L, file.source);
  push_string(L, file.bos_token);
  push_string(L, file.eos_token);
  return 3;
}

// template_of_model(model) -> source, bos_token, eos_token
int template_of_model(lua_State* L) {
  const auto model = check_shared<const Model>(L, 1, "lm.Model");
  LM_CHECK(model->chat_template() != nullptr, ErrorCode::not_found,
           "the model \"{}\" has no chat template", model->info().name);
  push_string(L, model->chat_template()->source());
  const auto t = model->tokenizer();
  push_string(L, t && t->bos() >= 0 ? t->token_text(t->bos()) : "");
  push_string(L, t && !t->eos().empty() ? t->token_text(t->eos()[0]) : "");
  return 3;
}

// render(template, messages, tools or nil, add_generation_prompt, extra, now or nil) -> text,
// spans. messages, tools and extra are JSON; spans: {{first, last}, ...}, 1-based bytes of what the
// assistant says.
int render(lua_State* L) {
  const auto chat = check_shared<const ChatTemplate>(L, 1, kTemplate);
  ChatInput input;
  input.messages = text_at(L, 2);
  input.tools = luaL_optstring(L, 3, "");
  input.add_generation_prompt = lua_toboolean(L, 4) != 0;
  input.extra = luaL_optstring(L, 5, "");
  if (lua_isnumber(L, 6)) input.now = static_cast<std::time_t>(lua_tonumber(L, 6));
  const RenderedChat out = chat->render_spans(input);
  push_string(L, out.text);
  lua_createtable(L, static_cast<int>(out.generated.size()), 0);
  int n = 0;
  for (const auto& [begin, end] : out.generated) {
    lua_createtable(L, 2, 0);
    lua_pushnumber(L, static_cast<lua_Number>(begin + 1));
    lua_rawseti(L, -2, 1);
    lua_pushnumber(L, static_cast<lua_Number>(end));
    lua_rawseti(L, -2, 2);
    lua_rawseti(L, -2, ++n);
  }
  return 2;
}

// source(template) -> text
int source(lua_State* L) {
  push_string(L, check_shared<const ChatTemplate>(L, 1, kTemplate)->source());
  return 1;
}

// handle[key]: a method, or else what the metatable's `properties` function says. A handle that
// arrives in a worker state finds neither yet: the module that defines them is loaded on first use.
// Upvalues: methods, the module's name.
int index_handle(lua_State* L) {
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  if (!lua_isnil(L, -1)) return 1;
  lua_pop(L, 1);
  lua_getglobal(L, "require");
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_call(L, 1, 0);
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  lua_getmetatable(L, 1);
  lua_getfield(L, -1, "properties");
  if (!lua_isnil(L, -3) || lua_isnil(L, -1)) {
    lua_pop(L, 2);
    return 1;
  }
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_call(L, 2, 1);
  return 1;
}

// Leaves `<name>_methods` and `<name>_meta` in the module table below the top.
void add_type(lua_State* L, const char* type, const char* name, const char* module) {
  constexpr luaL_Reg kNone[] = {{nullptr, nullptr}};
  new_shared_type(L, type, kNone);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, fmt::format("{}_methods", name).c_str());
  lua_pushstring(L, module);
  lua_pushcclosure(L, index_handle, 2);
  lua_setfield(L, -2, "__index");
  lua_setfield(L, -2, fmt::format("{}_meta", name).c_str());
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_tokenizer(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kFunctions[] = {{"open", open},
                                     {"of_model", of_model},
                                     {"encode", encode},
                                     {"count", count},
                                     {"encode_pair", encode_pair},
                                     {"decode", decode},
                                     {"token", token},
                                     {"id", id},
                                     {"info", info},
                                     {"stream", stream},
                                     {"stream_push", stream_push},
                                     {"stream_finish", stream_finish},
                                     {"train", train},
                                     {"template", make_template},
                                     {"read_template", read_template},
                                     {"template_of_model", template_of_model},
                                     {"render", render},
                                     {"source", source},
                                     {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  add_type(L, kTokenizer, "tokenizer", "lm.tokenizer");
  add_type(L, kStream, "stream", "lm.tokenizer");
  add_type(L, kTemplate, "template", "lm.template");
  return 1;
}
