// A token model turns one pre-tokenized word into ids. Each kind (BPE, ...) is one implementation
// of this interface.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lm {

// A stretch of text cut into words. Spans are in order and do not overlap; bytes between spans are
// dropped.
struct Words {
  struct Span {
    uint32_t begin = 0, end = 0;
  };
  std::string text;
  std::vector<Span> spans;
  bool at_text_start = true;  // the stretch begins where the user's text begins
};

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  // Appends the ids of every word. Thread-safe.
  virtual void encode(const Words& words, std::vector<int32_t>& out) const = 0;
};

}  // namespace lm
