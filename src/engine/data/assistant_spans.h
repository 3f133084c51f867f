// Where in a rendered conversation its assistant turns stand. Internal to data.
#pragma once

#include <utility>
#include <vector>

#include "engine/data/token_row.h"

namespace lm {

struct SpannedText {
  std::string text;
  std::vector<std::pair<size_t, size_t>> spans;  // trained bytes [begin, end), ascending
};

SpannedText render_conversation(const Example& example, const EncodeRules& rules);

}  // namespace lm
