// A parsed regular expression. Inside of constrain only: regex.h has what others need.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "engine/infer/constrain/char_set.h"

namespace lm {

struct RegexNode {
  enum class Kind : uint8_t { empty, set, sequence, choice, repeat, begin, end, look };
  Kind kind = Kind::empty;
  CharSet set;
  std::vector<std::unique_ptr<RegexNode>> parts;
  uint32_t min = 0, max = 0;  // repeat
  bool negative = false;      // look
  bool assertions = false;    // this node or one below is begin, end or look
};

// Throws bad_option for a pattern that is wrong and unsupported for one that no automaton can have
// (backreferences, word boundaries, lookbehind ...), with the position.
std::unique_ptr<RegexNode> parse_regex(std::string_view pattern);

}  // namespace lm
