// Sets of Unicode characters, and their expressions over UTF-8.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/infer/constrain/grammar.h"

namespace lm {

class CharSet {
 public:
  using Range = std::pair<uint32_t, uint32_t>;  // first, last
  CharSet() = default;
  CharSet(std::initializer_list<Range> ranges) {
    for (const Range& r : ranges) add(r.first, r.second);
  }
  void add(uint32_t first, uint32_t last);
  void add(const CharSet& other);
  // Everything else from U+0000 to U+10FFFF.
  CharSet inverted() const;
  bool has(uint32_t c) const;
  // Adds the other case of ASCII letters and of those beyond with a single other case.
  void fold_case();
  const std::vector<Range>& ranges() const;

  // Surrogates are left out: they have no UTF-8.
  ExprId expression(Grammar& g) const;

 private:
  void normalize() const;
  mutable std::vector<Range> ranges_;
  mutable bool normal_ = true;
};

// The characters with a Unicode property: a general category ("L", "Lu", "Letter"), a script of the
// few that patterns use ("Latin", "Greek", "Cyrillic", "Han" ...), "Alphabetic", "White_Space",
// "Any", "ASCII". Nothing for names that are not known.
std::optional<CharSet> unicode_property(std::string_view name);

ExprId any_char(Grammar& g);  // one character
ExprId any_text(Grammar& g);  // any number of them

}  // namespace lm
