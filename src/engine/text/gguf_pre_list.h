// The pre-tokenizers that GGUF files name in tokenizer.ggml.pre: how each family cuts text before
// its BPE runs. Add one: a row here. Source of names and patterns: llama.cpp src/llama-vocab.cpp
// and the models' tokenizer.json files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/text/pre_tokenize.h"

namespace lm {

struct GgufPreFamily {
  const char* names;                  // separated by spaces
  std::vector<const char*> patterns;  // applied one after the other
  bool ignore_merges = false;
  bool add_bos = false;     // when the file does not say
  bool plain_text = false;  // tokens are text with "▁" for spaces, not in the byte alphabet
  bool nfc = false;         // the model's tokenizer.json normalises, which the file cannot say
};

// nullptr when no family has this name.
const GgufPreFamily* find_gguf_pre_family(std::string_view name);
// The first name of the family that cuts text by these patterns; empty when there is none. Families
// with the same ignore_merges and nfc come first.
std::string gguf_pre_name(const std::vector<std::string>& patterns, bool ignore_merges, bool nfc);
// All names, for messages.
std::string gguf_pre_names();
std::vector<PreTokenizer> make_pre_tokenizers(const GgufPreFamily& family);

}  // namespace lm
