// Hostile chat templates: parsing and rendering end in text or an Error, within the limits.
#include <cstdint>
#include <string_view>

#include "engine/core/error.h"
#include "engine/text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;
  lm::ChatInput input;
  input.messages = R"([{"role":"system","content":"Be brief."},{"role":"user","content":"Hi é"},
    {"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":{"x":1.5}}}]}])";
  input.tools = R"([{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}])";
  input.now = 0;
  try {
    lm::ChatTemplate(std::string_view(reinterpret_cast<const char*>(data), size)).render(input);
  } catch (const lm::Error&) {
  }
  return 0;
}
