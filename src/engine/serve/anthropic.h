// Anthropic's messages as a chat: https://docs.anthropic.com/en/api/messages
#pragma once

#include "engine/serve/call.h"
#include "engine/serve/chat.h"

namespace lm::serve {

Fields anthropic_fields(bool for_counting);
// Throws ApiError 400.
ChatRequest anthropic_request(Call& call);

}  // namespace lm::serve
