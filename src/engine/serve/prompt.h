// From messages and texts to tokens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/serve/json.h"
#include "engine/serve/models.h"

namespace lm::serve {

struct Prompt {
  std::vector<int32_t> ids;
  std::vector<float> image_rows = {};  // see Context::set_image_rows
  std::string text = {};               // as rendered
  // Of a chat: how its model writes calls and thoughts, and whether the answer begins inside of
  // thoughts.
  ToolCallFormat format = {};
  bool in_reasoning = false;
};

struct ChatPromptOptions {
  const Json* tools = nullptr;  // definitions for the template, or null
  bool add_generation_prompt = true;
  bool continue_final_message = false;  // go on with the last message instead
  Json* variables = nullptr;            // further variables of the template, or null
  std::string chat_template;            // instead of the model's; "": that
};

// Renders OpenAI's messages through the chat template. Roles and parts are checked; "developer" is
// "system" for templates that do not know it; contents of text parts are joined; images are seen.
// Throws ApiError 400, naming "messages".
Prompt chat_prompt(ServedModel& model, const Json& messages, const ChatPromptOptions& options);

// Throws ApiError 400 with both numbers where the prompt leaves no room for a token of an answer.
void check_length(const ServedModel& model, size_t n_prompt, const char* param);

}  // namespace lm::serve
