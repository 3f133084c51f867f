// A conversation to answer, whatever dialect it came in; messages and tools are OpenAI's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/api/tool_calls.h"
#include "engine/serve/answers.h"

namespace lm::serve {

struct ChatRequest {
  ServedModel model;
  std::shared_ptr<Json> messages, tools;  // tools: null where there are none
  ToolChoice tool_choice;                 // with tools
  std::shared_ptr<Json> variables;        // of the template, or null
  bool add_generation_prompt = true, continue_final_message = false;
  std::string chat_template;  // instead of the model's; "": that
  GenerateOptions options;
  int64_t n = 1;
  bool include_stop_text = false;
};

struct ChatToolCall {
  std::string id, name, arguments;  // arguments: a JSON text
};

// What an answer is made of, as it comes.
struct ChatEvent {
  enum class Kind : uint8_t { content, reasoning, call, arguments, call_end };
  size_t index = 0;  // which answer
  Kind kind = Kind::content;
  std::string text;      // content, reasoning, arguments: a piece
  size_t call = 0;       // which call of the answer
  std::string id, name;  // of a call that begins
  // Tokens of this event and of those that it stands for, where log-probabilities are asked for.
  std::span<const int32_t> ids;
  std::span<const StepLogprobs> logprobs;
};

struct ChatAnswer {
  std::string content, reasoning;
  std::vector<ChatToolCall> calls;
  std::string finish_reason;  // "stop", "length", "tool_calls"
  FinishedAnswer raw;
};

// Reads tool_choice: "none", "auto", "required", {type: function, name or function.name}, {type:
// allowed_tools, mode, tools}, which shortens the list of tools. Throws ApiError 400.
void read_tool_choice(const Json& body, ChatRequest& request);

using OnChatEvent = std::function<void(const ChatEvent& event)>;
using OnChatEnd = std::function<void(size_t index, const ChatAnswer& answer)>;

// A chat that is prepared: the prompt is there, nothing has run.
class Chat {
 public:
  // Throws ApiError 400 for messages that cannot be, prompts that are too long.
  explicit Chat(Call& call, ChatRequest request);
  // See run_answers.
  std::vector<ChatAnswer> run(const OnChatEvent& on_event, const OnChatEnd& on_end);

  const AnswerPlan& plan() const { return plan_; }
  size_t n_prompt() const { return plan_.prompts[0].ids.size(); }

 private:
  void hold_calls();
  std::unique_ptr<ToolCallParser> parser() const;
  ChatAnswer whole(const FinishedAnswer& answer) const;

  Call& call_;
  ChatRequest request_;
  AnswerPlan plan_;
  bool held_ = false;  // calls are kept within a grammar
};

// Tokens that the answers took, and what of the prompt was known.
struct ChatUsage {
  int64_t prompt = 0, completion = 0, cached = 0;
};
ChatUsage usage_of(const Chat& chat, const std::vector<ChatAnswer>& answers);
// As OpenAI says it.
Json openai_usage(const ChatUsage& usage);

}  // namespace lm::serve
