// SentencePiece's precompiled character map: byte strings and what replaces them, as a double array
// trie. Layout: u32 size of the trie in bytes, the trie's u32 units, then the replacements, each
// ended by a zero byte. Source: google/sentencepiece src/normalizer.cc, s-yata/darts-clone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lm {

class CharsMap {
 public:
  CharsMap() = default;
  // Throws bad_file when the sizes contradict each other.
  explicit CharsMap(std::string_view blob);
  bool empty() const { return units_.empty(); }

  struct Match {
    size_t size = 0;  // bytes of the text; 0: nothing is replaced here
    std::string_view replacement;
  };
  // The longest, or the shortest, entry that text[at..] begins with.
  Match longest(std::string_view text, size_t at) const { return find(text, at, false); }
  Match shortest(std::string_view text, size_t at) const { return find(text, at, true); }

 private:
  Match find(std::string_view text, size_t at, bool first) const;
  std::vector<uint32_t> units_;
  std::string replacements_;  // ends with a zero byte
};

}  // namespace lm
