// Which tokens end a generation.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/text/tokenizer.h"

namespace lm {

// `more` and, unless eos is to be ignored, the model's own end tokens.
inline std::vector<int32_t> stop_ids(const Tokenizer& tokenizer, std::vector<int32_t> more,
                                     bool ignore_eos) {
  if (!ignore_eos) more.insert(more.end(), tokenizer.eos().begin(), tokenizer.eos().end());
  return more;
}

}  // namespace lm
