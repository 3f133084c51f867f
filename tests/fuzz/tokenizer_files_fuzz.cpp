// SentencePiece models, tiktoken ranks, tekken.json and RWKV vocabularies from hostile hands, the
// first byte choosing which: loading ends in a tokenizer or an Error; a tokenizer then encodes and
// decodes anything.
#include <cstdint>
#include <string_view>

#include "engine/core/error.h"
#include "engine/text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  constexpr decltype(&lm::load_tokenizer_rwkv) kLoaders[] = {
      lm::load_tokenizer_sentencepiece, lm::load_tokenizer_tiktoken, lm::load_tokenizer_tekken,
      lm::load_tokenizer_rwkv};
  try {
    const auto tokenizer = kLoaders[data[0] % std::size(kLoaders)](input, "fuzz");
    const std::string_view text = input.substr(input.size() - std::min<size_t>(input.size(), 64));
    const auto ids = tokenizer->encode(text, {.parse_special = true});
    tokenizer->decode(ids, false);
    tokenizer->encode_pair(" Hello  world's 123\r\n\xF0\x9F\x98\x80\xFF \xE2\x96\x81x", text);
  } catch (const lm::Error&) {
  }
  return 0;
}
