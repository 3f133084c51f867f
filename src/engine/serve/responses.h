// OpenAI's responses as a chat: https://platform.openai.com/docs/api-reference/responses
#pragma once

#include "engine/serve/call.h"
#include "engine/serve/chat.h"

namespace lm::serve {

Fields responses_fields();
// The input of the request as a list of items.
Json input_items(const Json& body);
// A chat from the items of earlier responses (previous_response_id) and of this one. Throws
// ApiError 400 and, for an unknown id, 404.
ChatRequest responses_request(Call& call, const Json& items);
// The output of an answer as items: reasoning, message, function_call.
Json output_items(const ChatAnswer& answer);
// The object without its output: what the request said, with defaults.
Json response_head(const Call& call, const std::string& id, const std::string& model);

}  // namespace lm::serve
