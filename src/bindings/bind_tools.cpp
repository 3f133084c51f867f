// The Lua module lm.engine.tools: how a model writes tool calls, as handles. The functions users
// see are Lua's, in lua/stdlib/lm/tool_chat.lua.
#include <lua.hpp>

#include "bindings/arguments.h"
#include "bindings/bind.h"
#include "engine/api/tool_calls.h"
#include "engine/core/error.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"

namespace lm {
namespace {

constexpr const char* kFormat = "lm.ToolCallFormat";
constexpr const char* kParser = "lm.ToolCallParser";

std::shared_ptr<const ToolCallFormat> check_format(lua_State* L, int index) {
  return check_shared<const ToolCallFormat>(L, index, kFormat);
}

void push_texts(lua_State* L, const std::vector<std::string>& texts) {
  lua_createtable(L, static_cast<int>(texts.size()), 0);
  for (size_t i = 0; i < texts.size(); ++i) {
    push_string(L, texts[i]);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
}

void set_tokens(const Model& model, ChatInput* input) {
  const Tokenizer& t = *model.tokenizer();
  if (t.bos() >= 0) input->bos_token = t.token_text(t.bos());
  if (!t.eos().empty()) input->eos_token = t.token_text(t.eos()[0]);
}

const ChatTemplate& template_of(const Model& model) {
  LM_CHECK(model.chat_template(), ErrorCode::unsupported,
           "the model \"{}\" has no chat template, so it cannot be told of tools",
           model.info().name);
  return *model.chat_template();
}

// format(model) -> format
int format(lua_State* L) {
  const auto model = check_model(L, 1);
  ChatInput tokens;
  set_tokens(*model, &tokens);
  push_shared(L, kFormat,
              std::make_shared<const ToolCallFormat>(
                  find_tool_call_format(template_of(*model), tokens.bos_token, tokens.eos_token)));
  return 1;
}

// format_info(format) -> {family, generic, marker, parallel, shown}
int format_info(lua_State* L) {
  const auto f = check_format(L, 1);
  lua_newtable(L);
  set_field(L, "family", f->family);
  set_field(L, "generic", f->generic);
  set_field(L, "parallel", f->parallel);
  set_field(L, "marker", f->marker());
  push_texts(L, f->marked_texts());
  lua_setfield(L, -2, "shown");
  return 1;
}

// prompt(format, model, messages_json, tools_json) -> text, whether it ends inside of thoughts
int prompt(lua_State* L) {
  const auto f = check_format(L, 1);
  const auto model = check_model(L, 2);
  const ToolChat chat = tool_messages(*f, string_at(L, 3), luaL_optstring(L, 4, ""));
  ChatInput input;
  input.messages = chat.messages;
  input.tools = chat.tools;
  input.extra = chat.extra;
  set_tokens(*model, &input);
  const std::string text = template_of(*model).render(input);
  push_string(L, text);
  lua_pushboolean(L, starts_in_reasoning(*f, text));
  return 2;
}

// constraint(format, model, tools_json, {choice, name, parallel, strict, in_reasoning})
//   -> constraint, notes
int constraint(lua_State* L) {
  const auto f = check_format(L, 1);
  const auto model = check_model(L, 2);
  ToolChoice choice;
  const std::string kind = text_field(L, 4, "choice");
  using Kind = ToolChoice::Kind;
  if (kind == "none") choice.kind = Kind::none;
  if (kind == "required") choice.kind = Kind::required;
  if (kind == "named") choice.kind = Kind::named;
  choice.name = text_field(L, 4, "name");
  choice.parallel = flag_field(L, 4, "parallel", true);
  choice.strict = flag_field(L, 4, "strict", true);
  choice.in_reasoning = flag_field(L, 4, "in_reasoning", false);
  std::vector<std::string> notes;
  const auto options = tool_call_constraint(*f, string_at(L, 3), choice, &notes);
  push_shared(L, kConstraint, Constraint::compile(options, model->tokenizer()), size_t{1} << 20);
  push_texts(L, notes);
  return 2;
}

// parser(format, tools_json, {unmarked, in_reasoning}) -> parser
int parser(lua_State* L) {
  const auto f = check_format(L, 1);
  ToolCallParser::Options o;
  o.tools = luaL_optstring(L, 2, "");
  using Unmarked = ToolCallParser::Options::Unmarked;
  const std::string unmarked = text_field(L, 3, "unmarked");
  if (unmarked == "none") o.unmarked = Unmarked::none;
  if (unmarked == "allowed") o.unmarked = Unmarked::allowed;
  o.in_reasoning = flag_field(L, 3, "in_reasoning", false);
  push_shared(L, kParser, std::make_shared<ToolCallParser>(*f, std::move(o)));
  return 1;
}

constexpr const char* kKinds[] = {"content", "reasoning", "begin", "arguments", "end"};

// push(parser, text, or nil at the end) -> list of {kind, text, index, name, id, complete}
int push(lua_State* L) {
  const auto p = check_shared<ToolCallParser>(L, 1, kParser);
  const auto events = lua_isnoneornil(L, 2) ? p->finish() : p->push(string_at(L, 2));
  lua_createtable(L, static_cast<int>(events.size()), 0);
  for (size_t i = 0; i < events.size(); ++i) {
    const ToolCallEvent& e = events[i];
    lua_newtable(L);
    set_field(L, "kind", kKinds[static_cast<size_t>(e.kind)]);
    set_field(L, "text", e.text);
    set_field(L, "index", static_cast<int64_t>(e.index + 1));
    set_field(L, "name", e.name);
    set_field(L, "id", e.id);
    set_field(L, "complete", e.complete);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

// new_id(format or nil) -> an id for a call
int new_id(lua_State* L) {
  push_string(L, new_tool_call_id(lua_isnoneornil(L, 1) ? ToolCallFormat{} : *check_format(L, 1)));
  return 1;
}

}  // namespace
}  // namespace lm

extern "C" int luaopen_lm_tools(lua_State* L) {
  using namespace lm;
  constexpr luaL_Reg kNone[] = {{nullptr, nullptr}};
  for (const char* type : {kFormat, kParser}) {
    new_shared_type(L, type, kNone);
    lua_pop(L, 1);
  }
  constexpr luaL_Reg kFunctions[] = {{"format", format},         {"format_info", format_info},
                                     {"prompt", prompt},         {"parser", parser},
                                     {"constraint", constraint}, {"push", push},
                                     {"new_id", new_id},         {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}
