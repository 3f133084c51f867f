// Renders a chat template with made-up tools and calls, to see how it writes them.
#pragma once

#include <optional>
#include <string>

#include "engine/text/chat_template.h"

namespace lm::tool_calls {

// The made-up names and values, which no template has in it.
inline constexpr const char* kProbeName = "qzfirsttool";
inline constexpr const char* kProbeName2 = "qzsecondtool";
inline constexpr const char* kKey1 = "qzkeyone";
inline constexpr const char* kKey2 = "qzkeytwo";
inline constexpr const char* kValue1 = "qzvalue";
inline constexpr const char* kValue2 = "31337";
inline constexpr const char* kId1 = "qzid00001";
inline constexpr const char* kId2 = "qzid00002";

struct ProbeStyle {
  bool arguments_as_text = false, null_content = false;
};

// What the template writes behind the user's message for an assistant's message with `calls` (1 or
// 2) calls, without what ends the turn. Nothing when the template refuses or leaves the call out.
std::optional<std::string> render_calls(const ChatTemplate& chat, const std::string& bos,
                                        const std::string& eos, int calls, ProbeStyle style);

}  // namespace lm::tool_calls
