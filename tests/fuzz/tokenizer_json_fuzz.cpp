// tokenizer.json from hostile hands: loading ends in a tokenizer or an Error; a tokenizer then
// encodes and decodes anything.
#include <cstdint>
#include <string_view>

#include "engine/core/error.h"
#include "engine/text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The last 64 bytes double as the text to encode.
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer = lm::load_tokenizer_json(input, "fuzz");
    const auto ids =
        tokenizer->encode(input.substr(size - std::min<size_t>(size, 64)), {.parse_special = true});
    tokenizer->decode(ids, false);
    tokenizer->encode(" Hello  world's 123\r\n\xF0\x9F\x98\x80\xFF \xE2\x96\x81x");
  } catch (const lm::Error&) {
  }
  return 0;
}
