// A compiled regular expression of a tokenizer file (PCRE2 with JIT). Immutable and thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace lm {

class Regex {
 public:
  // Unicode classes and properties are on. Throws unsupported, naming the pattern, when PCRE2 does
  // not accept it or when it uses what PCRE2 reads differently from the Oniguruma and Rust engines
  // (class intersection).
  explicit Regex(const std::string& pattern);

  // Calls found(begin, end) for each non-overlapping non-empty match, left to right. Ill-formed
  // UTF-8 never matches. Throws bad_file when a pattern needs more than the step limit
  // (catastrophic backtracking).
  void find_all(std::string_view text, const std::function<void(size_t, size_t)>& found) const;
  const std::string& pattern() const { return pattern_; }

 private:
  std::string pattern_;
  std::shared_ptr<void> code_;
};

}  // namespace lm
