// Patterns, grammars and schemas from hostile hands: compiling ends in a constraint or an Error; a
// constraint then reads any text. The first byte picks the language; the rest is cut at a zero byte
// into the constraint and the text.
#include <cstdint>
#include <string_view>

#include "engine/api/constraint.h"
#include "engine/api/json_validate.h"
#include "engine/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t cut = std::min(input.find('\0'), input.size());
  lm::ConstraintOptions options;
  options.text = input.substr(0, cut);
  const std::string_view text = input.substr(std::min(cut + 1, input.size()));
  using Language = lm::ConstraintOptions::Language;
  constexpr Language kLanguages[] = {Language::regex, Language::gbnf, Language::json_schema};
  options.language = kLanguages[data[0] % 3];
  try {
    lm::Constraint::compile(options)->accepts(text);
  } catch (const lm::Error&) {
  }
  if (options.language != Language::json_schema) return 0;
  try {
    lm::validate_json(text, options.text, {.formats = true});
  } catch (const lm::Error&) {
  }
  return 0;
}
