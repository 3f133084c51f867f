// Values and schemas from hostile hands: a value, a zero byte, a schema. What is refused is refused
// by an Error.
#include <cstdint>
#include <string_view>

#include "engine/api/json_validate.h"
#include "engine/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(text.find('\0'), text.size());
  const std::string_view value = text.substr(0, end), schema = text.substr(std::min(end + 1, size));
  try {
    lm::JsonValidateOptions options;
    options.formats = size % 2 == 0;
    const auto problems = lm::validate_json(value, schema, options);
    for (const auto& problem : problems)
      if (problem.message.empty()) __builtin_trap();
  } catch (const lm::Error&) {
  }
  return 0;
}
