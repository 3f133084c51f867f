// Finds tokens that are written into the text as such (<|im_start|>, user-defined words) before
// anything else cuts it. Leftmost match, longest first, as Hugging Face's AddedVocabulary.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lm {

struct AddedToken {
  std::string text;
  int32_t id = -1;
  bool special = false;      // recognised only when the caller asks for special tokens
  bool lstrip = false;       // swallows white space on its left
  bool rstrip = false;       // ... on its right
  bool single_word = false;  // not inside a word
};

class AddedTokens {
 public:
  AddedTokens() = default;
  explicit AddedTokens(std::vector<AddedToken> tokens);
  const std::vector<AddedToken>& tokens() const { return tokens_; }  // sorted by text

  // A stretch of plain text, or (token != nullptr) a token with the white space it swallows.
  struct Part {
    std::string_view text;
    const AddedToken* token = nullptr;
  };
  // Cuts `text` into parts, in order; plain parts are not empty. Special tokens stay plain text
  // unless parse_special.
  void split(std::string_view text, bool parse_special, std::vector<Part>& out) const;

 private:
  const AddedToken* match(std::string_view text, size_t at, bool parse_special) const;

  std::vector<AddedToken> tokens_;
  std::array<bool, 256> first_byte_{};  // bytes that begin a token
};

}  // namespace lm
