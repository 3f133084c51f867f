#include "engine/text/chat_template.h"

#include "engine/core/error.h"
#include "engine/text/jinja/interpreter.h"

namespace lm {

ChatTemplate::ChatTemplate(std::string_view source)
    : source_(source), template_(jinja::parse_template(source)) {}

namespace {

void set_globals(jinja::Interpreter& in, const std::string& json, const char* what) {
  const jinja::Value variables = jinja::from_json(json, what);
  LM_CHECK(variables.is_dict(), ErrorCode::bad_option,
           "chat template: {} is {}; expected a JSON object", what,
           jinja::kind_name(variables.kind()));
  for (const auto& [name, value] : variables.dict().items()) in.set_global(name, value);
}

}  // namespace

RenderedChat ChatTemplate::render_spans(const ChatInput& input) const {
  jinja::Interpreter in(input.now);
  in.set_global("messages", jinja::from_json(input.messages, "messages"));
  // transformers passes tools=None, which some templates loop over and fail; undefined passes every
  // test they make.
  if (!input.tools.empty()) in.set_global("tools", jinja::from_json(input.tools, "tools"));
  in.set_global("add_generation_prompt", input.add_generation_prompt);
  in.set_global("bos_token", input.bos_token);
  in.set_global("eos_token", input.eos_token);
  if (!input.extra.empty()) set_globals(in, input.extra, "extra");
  RenderedChat out;
  out.text = in.render(*template_);
  out.generated = in.generated();
  return out;
}

std::string ChatTemplate::render_json(std::string_view variables,
                                      std::optional<std::time_t> now) const {
  jinja::Interpreter in(now);
  set_globals(in, std::string(variables), "the variables");
  return in.render(*template_);
}

bool ChatTemplate::mentions(std::string_view name) const {
  return source_.find(name) != std::string::npos;
}

}  // namespace lm
