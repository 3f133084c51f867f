// Tokenizers from hostile GGUF metadata and llama2.c files.
#include <cstdint>
#include <string_view>

#include "engine/core/error.h"
#include "engine/formats/gguf.h"
#include "engine/text/tokenizer.h"

namespace {

void use(const lm::Tokenizer& tokenizer, std::string_view text) {
  tokenizer.decode(tokenizer.encode(text, {.parse_special = true}), false);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    use(*lm::load_tokenizer(lm::GgufFile::parse(bytes, "fuzz")),
        text.substr(size - std::min<size_t>(size, 64)));
  } catch (const lm::Error&) {
  }
  try {
    use(*lm::parse_tokenizer_llama2c(bytes, "fuzz"),
        text.substr(size - std::min<size_t>(size, 64)));
  } catch (const lm::Error&) {
  }
  return 0;
}
