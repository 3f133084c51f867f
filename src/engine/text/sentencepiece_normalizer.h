// The normalizer of SentencePiece models: the character map, then rules about white space. Source:
// google/sentencepiece src/normalizer.cc.
#pragma once

#include <memory>

#include "engine/text/charsmap.h"
#include "engine/text/normalize.h"
#include "engine/text/trie.h"

namespace lm {

struct SentencePieceRules {
  bool add_dummy_prefix = true;          // the text begins with a space
  bool remove_extra_whitespaces = true;  // runs become one space, none at the ends
  bool escape_whitespaces = true;        // spaces become "▁"
  bool whitespace_as_suffix = false;     // the dummy space goes to the end
};

// `keep`: user-defined pieces, which no rule changes; may be null.
Normalizer sentencepiece_normalizer(std::shared_ptr<const CharsMap> map,
                                    std::shared_ptr<const Trie> keep,
                                    const SentencePieceRules& rules);

}  // namespace lm
