#include "engine/serve/chat.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/serve/field.h"

namespace lm::serve {
namespace {

ApiError wrong(const std::string& what, const char* param = "tool_choice") {
  return ApiError(400, what, param, "invalid_value");
}

std::string tool_name(const Json& tool) {
  const Json* function = tool.is_object() ? member(tool, "function") : nullptr;
  return text_or(function && function->is_object() ? *function : tool, "name", "");
}

// A tool that insists on its schema.
bool is_strict(const Json& tool) {
  const Json* function = tool.is_object() ? member(tool, "function") : nullptr;
  return function && function->is_object() && boolean_or(*function, "strict", false);
}

bool has_tool(const ChatRequest& request, const std::string& name) {
  return request.tools && std::any_of(request.tools->begin(), request.tools->end(),
                                      [&](const Json& tool) { return tool_name(tool) == name; });
}

void choose_mode(const std::string& mode, ChatRequest& request) {
  using Kind = ToolChoice::Kind;
  if (mode == "none")
    request.tools = nullptr;
  else if (mode == "required" || mode == "any")
    request.tool_choice.kind = Kind::required;
  else if (mode != "auto")
    throw wrong(
        fmt::format("tool_choice is \"{}\"; expected none, auto, required or a function", mode));
  if (request.tool_choice.kind == Kind::required && !request.tools)
    throw wrong("tool_choice asks for a call, but there are no tools");
}

void choose_named(const std::string& name, ChatRequest& request) {
  if (!has_tool(request, name))
    throw wrong(fmt::format("tool_choice names \"{}\", which is none of the tools", name));
  request.tool_choice.kind = ToolChoice::Kind::named;
  request.tool_choice.name = name;
}

void keep_allowed(const Json& choice, ChatRequest& request) {
  const Json* inner = member(choice, "allowed_tools");
  const Json& allowed = inner ? *inner : choice;
  const Json* names = member(allowed, "tools");
  if (!names || !names->is_array()) throw wrong("tool_choice: allowed_tools needs a list of tools");
  auto kept = std::make_shared<Json>(Json::array());
  for (const Json& one : *names) {
    const std::string name = tool_name(one);
    if (!has_tool(request, name))
      throw wrong(fmt::format("tool_choice allows \"{}\", which is none of the tools", name));
    for (const Json& tool : *request.tools)
      if (tool_name(tool) == name) kept->push_back(tool);
  }
  request.tools = std::move(kept);
  choose_mode(text_or(allowed, "mode", "auto"), request);
}

// One answer as it is read: events to the caller, and the whole at the end.
class Reader {
 public:
  Reader(std::unique_ptr<ToolCallParser> parser, const ToolCallFormat& format, size_t index,
         OnChatEvent on_event)
      : parser_(std::move(parser)),
        format_(format),
        index_(index),
        on_event_(std::move(on_event)) {}

  void push(const AnswerPart& part) {
    ids_.insert(ids_.end(), part.ids.begin(), part.ids.end());
    logprobs_.insert(logprobs_.end(), part.logprobs.begin(), part.logprobs.end());
    take(parser_->push(part.text));
  }
  void push(const std::string& text) { take(parser_->push(text)); }

  ChatAnswer finish(const FinishedAnswer& raw) {
    take(parser_->finish());
    if (!ids_.empty() && on_event_) send({});  // tokens that made no text
    answer_.finish_reason = raw.stats.finish_reason;
    if (!answer_.calls.empty() && answer_.finish_reason == "stop")
      answer_.finish_reason = "tool_calls";
    answer_.raw = raw;
    return std::move(answer_);
  }

 private:
  void take(const std::vector<ToolCallEvent>& events) {
    for (const ToolCallEvent& e : events) {
      ChatEvent event;
      event.text = e.text;
      event.call = e.index;
      switch (e.kind) {
        case ToolCallEvent::Kind::content:
          answer_.content += e.text;
          break;
        case ToolCallEvent::Kind::reasoning:
          event.kind = ChatEvent::Kind::reasoning;
          answer_.reasoning += e.text;
          break;
        case ToolCallEvent::Kind::begin:
          event.kind = ChatEvent::Kind::call;
          event.id = e.id.empty() ? new_tool_call_id(format_) : e.id;
          event.name = e.name;
          answer_.calls.push_back({event.id, e.name, ""});
          break;
        case ToolCallEvent::Kind::arguments:
          event.kind = ChatEvent::Kind::arguments;
          if (!answer_.calls.empty()) answer_.calls.back().arguments += e.text;
          break;
        case ToolCallEvent::Kind::end:
          event.kind = ChatEvent::Kind::call_end;
          break;
      }
      if (on_event_) send(std::move(event));
    }
  }

  // Tokens go with the first event after them.
  void send(ChatEvent event) {
    event.index = index_;
    event.ids = ids_;
    event.logprobs = logprobs_;
    on_event_(event);
    ids_.clear();
    logprobs_.clear();
  }

  const std::unique_ptr<ToolCallParser> parser_;
  const ToolCallFormat& format_;
  const size_t index_;
  const OnChatEvent on_event_;
  ChatAnswer answer_;
  std::vector<int32_t> ids_;
  std::vector<StepLogprobs> logprobs_;
};

}  // namespace

void read_tool_choice(const Json& body, ChatRequest& request) {
  request.tool_choice.parallel = boolean_or(body, "parallel_tool_calls", true);
  if (request.tools)
    for (const Json& tool : *request.tools) {
      if (tool_name(tool).empty()) throw wrong("tools: each needs a name", "tools");
      const Json* function = member(tool, "function");
      if (function && function->is_object() && member(*function, "strict") &&
          !boolean_or(*function, "strict", true))
        request.tool_choice.strict = false;
    }
  const Json* choice = member(body, "tool_choice");
  if (!choice) return;
  if (choice->is_string()) return choose_mode(choice->get<std::string>(), request);
  if (!choice->is_object()) throw wrong("tool_choice: expected a string or an object");
  if (text_or(*choice, "type", "") == "allowed_tools") return keep_allowed(*choice, request);
  if (text_or(*choice, "type", "") != "function")
    throw wrong("tool_choice.type: expected \"function\" or \"allowed_tools\"");
  choose_named(tool_name(*choice), request);
}

Chat::Chat(Call& call, ChatRequest request) : call_(call), request_(std::move(request)) {
  ChatPromptOptions options;
  options.tools = request_.tools.get();
  options.add_generation_prompt = request_.add_generation_prompt;
  options.continue_final_message = request_.continue_final_message;
  options.variables = request_.variables.get();
  options.chat_template = request_.chat_template;
  plan_.model = request_.model;
  plan_.prompts = {chat_prompt(plan_.model, *request_.messages, options)};
  check_length(plan_.model, plan_.prompts[0].ids.size(), "messages");
  plan_.options = request_.options;
  plan_.n = request_.n;
  plan_.include_stop_text = request_.include_stop_text;
  plan_.options.show_tokens = plan_.prompts[0].format.marked_texts();
  if (request_.tools) hold_calls();
}

// Calls are well formed and their arguments satisfy the schemas, for nothing else can be written.
void Chat::hold_calls() {
  if (plan_.options.constraint)
    throw wrong(
        "response_format and tools: an answer is held to one of them; with tool_choice "
        "\"none\" the format is",
        "response_format");
  request_.tool_choice.in_reasoning = plan_.prompts[0].in_reasoning;
  try {
    std::vector<std::string> notes;
    const ConstraintOptions options = tool_call_constraint(
        plan_.prompts[0].format, dump(*request_.tools), request_.tool_choice, &notes);
    const bool strict = std::any_of(request_.tools->begin(), request_.tools->end(), is_strict);
    if (strict && !notes.empty()) throw wrong("tools: " + notes.front(), "tools");
    plan_.options.constraint = call_.core.constraints.get(options, plan_.model.model().tokenizer());
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    throw wrong("tools: " + error.message(), "tools");
  }
  held_ = true;
}

std::unique_ptr<ToolCallParser> Chat::parser() const {
  ToolCallParser::Options options;
  using Unmarked = ToolCallParser::Options::Unmarked;
  options.unmarked = held_ ? Unmarked::allowed : Unmarked::none;
  options.calls = held_;
  if (held_) options.tools = dump(*request_.tools);
  options.in_reasoning = plan_.prompts[0].in_reasoning;
  return std::make_unique<ToolCallParser>(plan_.prompts[0].format, std::move(options));
}

ChatAnswer Chat::whole(const FinishedAnswer& answer) const {
  Reader reader(parser(), plan_.prompts[0].format, 0, nullptr);
  reader.push(answer.text);
  return reader.finish(answer);
}

std::vector<ChatAnswer> Chat::run(const OnChatEvent& on_event, const OnChatEnd& on_end) {
  std::vector<ChatAnswer> answers(static_cast<size_t>(plan_.n));
  std::vector<std::unique_ptr<Reader>> readers;
  OnPart on_part;
  if (on_event) {
    for (size_t i = 0; i < answers.size(); ++i)
      readers.push_back(std::make_unique<Reader>(parser(), plan_.prompts[0].format, i, on_event));
    on_part = [&](const AnswerPart& part) { readers[part.index]->push(part); };
  }
  run_answers(call_, plan_, on_part, [&](size_t i, const FinishedAnswer& answer) {
    answers[i] = on_event ? readers[i]->finish(answer) : whole(answer);
    if (on_end) on_end(i, answers[i]);
  });
  return answers;
}

ChatUsage usage_of(const Chat& chat, const std::vector<ChatAnswer>& answers) {
  ChatUsage usage;
  usage.prompt = static_cast<int64_t>(chat.n_prompt());
  for (const ChatAnswer& answer : answers)
    usage.completion += static_cast<int64_t>(answer.raw.ids.size());
  if (!answers.empty()) usage.cached = answers.front().raw.stats.reused_tokens;
  return usage;
}

Json openai_usage(const ChatUsage& usage) {
  return {{"prompt_tokens", usage.prompt},
          {"completion_tokens", usage.completion},
          {"total_tokens", usage.prompt + usage.completion},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached}}}};
}

}  // namespace lm::serve
