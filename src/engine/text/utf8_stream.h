// Incremental detokenizer: token ids in, complete UTF-8 out. Characters that span tokens are held
// back until they are whole; however a sequence is cut, the pieces add up to the same text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/text/tokenizer.h"

namespace lm {

struct Utf8StreamOptions {
  bool skip_special = true;  // control tokens add no text
  bool at_text_start =
      false;  // the first token begins a text: drop SentencePiece's dummy space, as decode() does
  std::vector<int32_t> show = {};  // control tokens that add their names nevertheless
};

// For one thread at a time.
class Utf8Stream {
 public:
  explicit Utf8Stream(std::shared_ptr<const Tokenizer> tokenizer,
                      const Utf8StreamOptions& options = {});

  // The text that the token completes; may be empty. Bytes that can no longer become a character
  // come out as U+FFFD. Throws bad_option for an id outside the vocabulary.
  std::string push(int32_t id);
  // What is left at the end: an incomplete character becomes U+FFFD. The stream is then at its
  // beginning again.
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  Utf8StreamOptions options_;
  bool strip_;           // the next byte may be the dummy space
  std::string pending_;  // the beginning of a character, or a space that may be the last
};

}  // namespace lm
