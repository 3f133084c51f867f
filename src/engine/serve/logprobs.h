// Log-probabilities in OpenAI's two shapes.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/api/generate.h"
#include "engine/serve/json.h"
#include "engine/text/tokenizer.h"

namespace lm::serve {

// Of chat: a list of {token, logprob, bytes, top_logprobs: [{token, logprob, bytes}]}.
Json chat_logprobs(const Tokenizer& tokenizer, std::span<const StepLogprobs> steps);

// Of completions: lists beside each other, {tokens, token_logprobs, top_logprobs, text_offset}.
class LegacyLogprobs {
 public:
  // top: alternatives of each token; offset: characters of the text before the first token.
  LegacyLogprobs(const Tokenizer& tokenizer, int64_t top, size_t offset = 0);
  // A token that nothing came before: its numbers are null.
  void add_first(int32_t id);
  void add(const StepLogprobs& step);
  Json take();
  size_t offset() const { return offset_; }

 private:
  void begin_token(int32_t id);
  const Tokenizer& tokenizer_;
  int64_t top_;
  size_t offset_;
  std::unique_ptr<Json> tokens_, logprobs_, tops_, offsets_;
};

// Characters (code points) of a text in UTF-8.
size_t n_characters(std::string_view text);

}  // namespace lm::serve
