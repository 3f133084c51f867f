// Ollama's fields as ours: https://github.com/ollama/ollama/blob/main/docs/api.md
#pragma once

#include "engine/serve/call.h"
#include "engine/serve/chat.h"

namespace lm::serve {

// Fields that generate and chat have in common.
Fields ollama_fields();
// Options, format, think, logprobs. Throws ApiError 400.
void read_ollama_options(Call& call, ChatRequest& request);
// Ollama's messages as OpenAI's: images beside the text, arguments as objects.
std::shared_ptr<Json> ollama_messages(const Json& messages);

// "2024-05-01T12:00:00.000000000Z"
std::string iso_time(int64_t unix_seconds);
// What the last line of an answer tells: done_reason, counts, durations in ns since `start`.
Json ollama_end(const ChatUsage& usage, const ChatAnswer& answer,
                std::chrono::steady_clock::time_point start);
// {name, model, modified_at, size, digest, details}
Json ollama_model(const ModelRow& row);

}  // namespace lm::serve
